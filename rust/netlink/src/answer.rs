// SPDX-License-Identifier: GPL-2.0

//! The kernel's answer to a request, put together from datagrams.

use crate::extack::Extack;
use netlink_packet_core::{
    DecodeError, NetlinkBuffer, NetlinkDeserializable, NetlinkHeader, NetlinkMessage,
    NetlinkPayload, Parseable, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLM_F_DUMP_INTR,
};

/// Bytes of a netlink header.
const HEADER: usize = 16;

/// An answer, as far as it has come.
pub(crate) struct Answer<R> {
    sequence: u32,
    pub(crate) messages: Vec<R>,
    /// The kernel's tables changed meanwhile.
    pub(crate) interrupted: bool,
}

/// Why an answer ends before its end.
#[derive(Debug)]
pub(crate) enum Interrupt {
    Refused { errno: i32, extack: Extack },
    Overrun,
    Malformed(DecodeError),
}

impl From<DecodeError> for Interrupt {
    fn from(error: DecodeError) -> Self {
        Self::Malformed(error)
    }
}

impl<R: NetlinkDeserializable> Answer<R> {
    pub(crate) fn new(sequence: u32) -> Self {
        Self {
            sequence,
            messages: Vec::new(),
            interrupted: false,
        }
    }

    /// Takes the messages of a datagram; true when the answer is complete.
    pub(crate) fn take(&mut self, mut datagram: &[u8]) -> Result<bool, Interrupt> {
        while let Some(message) = next_message(&mut datagram)? {
            if self.take_message(message)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes one message; true when it is the answer's last.
    fn take_message(&mut self, message: &[u8]) -> Result<bool, Interrupt> {
        let header = NetlinkHeader::parse(&NetlinkBuffer::new_checked(message)?)?;
        if header.sequence_number != self.sequence {
            // The rest of an answer that was given up.
            return Ok(false);
        }
        self.interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
        match NetlinkMessage::<R>::deserialize(message)?.payload {
            NetlinkPayload::Error(error) => {
                // Behind the number stands the request's header, and unless
                // the answer is capped its body, before the explanation.
                let mut skip = HEADER;
                if header.flags & NLM_F_CAPPED == 0 {
                    let quoted = NetlinkBuffer::new(&error.header);
                    if error.header.len() >= HEADER {
                        skip = (quoted.length() as usize).next_multiple_of(4);
                    }
                }
                let explanation = error.header.get(skip..);
                refuse(error.raw_code(), header.flags, explanation).map(|()| true)
            }
            NetlinkPayload::Done(done) => {
                refuse(done.code, header.flags, Some(&done.extended_ack)).map(|()| true)
            }
            NetlinkPayload::Overrun(_) => Err(Interrupt::Overrun),
            NetlinkPayload::InnerMessage(message) => {
                self.messages.push(message);
                Ok(false)
            }
            _ => Ok(false),
        }
    }
}

/// Takes the next message off a datagram, its padding with it.
pub(crate) fn next_message<'a>(datagram: &mut &'a [u8]) -> Result<Option<&'a [u8]>, DecodeError> {
    if datagram.len() < HEADER {
        return Ok(None);
    }
    let length = NetlinkBuffer::new_checked(*datagram)?.length() as usize;
    let (message, rest) = datagram.split_at(length);
    *datagram = rest
        .get(length.next_multiple_of(4) - length..)
        .unwrap_or(&[]);
    Ok(Some(message))
}

/// An error, unless the number is none.
fn refuse(code: i32, flags: u16, explanation: Option<&[u8]>) -> Result<(), Interrupt> {
    // Dumps end with their length in place of an error number.
    if code >= 0 {
        return Ok(());
    }
    let extack = explanation
        .filter(|_| flags & NLM_F_ACK_TLVS != 0)
        .map(Extack::decode)
        .unwrap_or_default();
    Err(Interrupt::Refused {
        errno: code.saturating_neg(),
        extack,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attribute::{bytes, emit};
    use crate::message::Reply;
    use netlink_packet_generic::GenlMessage;
    use proptest::prelude::*;

    const SEQUENCE: u32 = 7;
    const FAMILY: u16 = 30;
    const NLMSG_ERROR: u16 = 2;
    const NLMSG_DONE: u16 = 3;

    /// A message as the kernel sends it, padded.
    fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut message = (16 + body.len() as u32).to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(sequence.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend(body);
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    fn object() -> Vec<u8> {
        message(FAMILY, 0, SEQUENCE, &[1, 1, 0, 0])
    }

    fn answer() -> Answer<GenlMessage<Reply>> {
        Answer::new(SEQUENCE)
    }

    fn refusal(datagram: &[u8]) -> (i32, Extack) {
        match answer().take(datagram) {
            Err(Interrupt::Refused { errno, extack }) => (errno, extack),
            other => panic!("{other:?}"),
        }
    }

    fn explanation() -> Vec<u8> {
        emit(&[bytes(1, b"no such service\0")])
    }

    #[test]
    fn an_answer_is_complete_with_its_acknowledgement() {
        let mut answer = answer();
        assert!(!answer.take(&object()).unwrap());
        let mut body = 0i32.to_ne_bytes().to_vec();
        body.extend([0; 16]);
        let ack = message(NLMSG_ERROR, NLM_F_CAPPED, SEQUENCE, &body);
        assert!(answer.take(&ack).unwrap());
        assert_eq!(answer.messages.len(), 1);
    }

    #[test]
    fn several_messages_of_one_datagram_are_all_taken() {
        let mut answer = answer();
        let done = message(NLMSG_DONE, 0, SEQUENCE, &0i32.to_ne_bytes());
        let datagram = [object(), object(), done].concat();
        assert!(answer.take(&datagram).unwrap());
        assert_eq!(answer.messages.len(), 2);
    }

    #[test]
    fn a_refusal_carries_the_kernels_explanation() {
        let mut body = (-2i32).to_ne_bytes().to_vec();
        body.extend([0; 16]);
        body.extend(explanation());
        let flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
        let (errno, extack) = refusal(&message(NLMSG_ERROR, flags, SEQUENCE, &body));
        assert_eq!(errno, 2);
        assert_eq!(extack.message.as_deref(), Some("no such service"));
    }

    #[test]
    fn a_refusal_that_quotes_the_whole_request_carries_it_as_well() {
        let mut body = (-2i32).to_ne_bytes().to_vec();
        body.extend(message(FAMILY, 0, SEQUENCE, &[1, 1, 0, 0, 8, 0, 1, 0, 9]));
        body.extend(explanation());
        let (_, extack) = refusal(&message(NLMSG_ERROR, NLM_F_ACK_TLVS, SEQUENCE, &body));
        assert_eq!(extack.message.as_deref(), Some("no such service"));
    }

    #[test]
    fn a_dump_may_be_refused_at_its_end() {
        let mut body = (-2i32).to_ne_bytes().to_vec();
        body.extend(explanation());
        let (errno, extack) = refusal(&message(NLMSG_DONE, NLM_F_ACK_TLVS, SEQUENCE, &body));
        assert_eq!(errno, 2);
        assert_eq!(extack.message.as_deref(), Some("no such service"));
    }

    #[test]
    fn a_dump_that_was_interrupted_is_marked() {
        let mut answer = answer();
        let mut datagram = object();
        datagram[6] |= NLM_F_DUMP_INTR as u8;
        answer.take(&datagram).unwrap();
        assert!(answer.interrupted);
    }

    #[test]
    fn the_rest_of_an_earlier_answer_is_passed_over() {
        let mut answer = answer();
        let stale = message(NLMSG_ERROR, 0, SEQUENCE - 1, &(-2i32).to_ne_bytes());
        assert!(!answer.take(&stale).unwrap());
        assert!(answer.messages.is_empty());
    }

    proptest! {
        #[test]
        fn no_datagram_makes_the_decoder_panic(datagram: Vec<u8>) {
            let _ = answer().take(&datagram);
        }

        #[test]
        fn no_message_of_ours_makes_the_decoder_panic(
            kind in prop_oneof![Just(NLMSG_ERROR), Just(NLMSG_DONE), Just(FAMILY), 0u16..5],
            flags: u16,
            lie in -20i32..20,
            body in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut datagram = message(kind, flags, SEQUENCE, &body);
            let length = (16 + body.len() as i32).saturating_add(lie).max(0) as u32;
            datagram[..4].copy_from_slice(&length.to_ne_bytes());
            let _ = answer().take(&datagram);
        }
    }
}
