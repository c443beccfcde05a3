// SPDX-License-Identifier: GPL-2.0

//! `dispatchctl monitor`.

use crate::failure::{Context, Failure};
use crate::print;
use crate::process::owner;
use crate::service::{affinity, registrants};
use crate::timestamp;
use serde::Serialize;
use tcp_dispatch_netlink::{Event, Events, Process, Service};

/// Prints events as they come. Ends only when nobody reads them any more.
pub fn run(as_json: bool) -> Result<(), Failure> {
    let doing = || "watch the events of the layer".to_owned();
    let mut events = Events::connect().doing(doing)?;
    loop {
        let Some(event) = events.wait(None).doing(doing)? else {
            continue;
        };
        let time = timestamp::now();
        let line = if as_json {
            json_line(&time, &event)
        } else {
            format!("{time}  {}\n", describe(&event))
        };
        if !print(&line)? {
            return Ok(());
        }
    }
}

/// An event as a program reads it. The two names beside the time are those
/// that the kernel's own netlink client uses.
#[derive(Serialize)]
struct Line<'a, T: Serialize> {
    time: &'a str,
    name: &'a str,
    msg: Option<&'a T>,
}

fn json_line(time: &str, event: &Event) -> String {
    fn line<T: Serialize>(time: &str, name: &str, msg: Option<&T>) -> String {
        let line = Line { time, name, msg };
        let mut text =
            serde_json::to_string(&line).expect("no type of ours has keys that are not strings");
        text.push('\n');
        text
    }
    let name = event.name();
    match event {
        Event::ServiceAdded(service)
        | Event::ServiceChanged(service)
        | Event::ServiceDeleted(service) => line(time, name, Some(service)),
        Event::ProcessAdded(process)
        | Event::ProcessChanged(process)
        | Event::ProcessDeleted(process)
        | Event::ProcessDrained(process) => line(time, name, Some(process)),
        Event::Refused(refused) => line(time, name, Some(refused)),
        _ => line::<()>(time, name, None),
    }
}

/// An event as a person reads it.
fn describe(event: &Event) -> String {
    match event {
        Event::ServiceAdded(service) => service_is("added", service),
        Event::ServiceChanged(service) => service_is("changed", service),
        Event::ServiceDeleted(service) => {
            let going_on = going_on(service.traffic.connections);
            format!("service {} deleted: {going_on}", service.service_address)
        }
        Event::ProcessAdded(process) => process_is("added", process),
        Event::ProcessChanged(process) => process_is("changed", process),
        Event::ProcessDeleted(process) => {
            let going_on = going_on(process.traffic.connections);
            format!("{} deleted: {going_on}", name(process))
        }
        Event::ProcessDrained(process) => format!("{} drained", name(process)),
        Event::Refused(refused) => format!(
            "service {} refused {}, the last of {}: {}",
            refused.service_address,
            counted(refused.count, "new connection"),
            refused.client_address,
            refused.reason
        ),
        Event::Lost => "events were lost here: they came faster than they were read".to_owned(),
        other => other.name().to_owned(),
    }
}

fn name(process: &Process) -> String {
    format!(
        "process {} of service {}",
        process.process_address, process.service_address
    )
}

fn service_is(what: &str, service: &Service) -> String {
    format!(
        "service {} {what}: scheduler {}, refusal {}, affinity {}, registrants {}",
        service.service_address,
        service.scheduler,
        service.refusal,
        affinity(service),
        registrants(service)
    )
}

fn process_is(what: &str, process: &Process) -> String {
    let cpus = match process.cpus.as_str() {
        "" => String::new(),
        cpus => format!(", CPUs {cpus}"),
    };
    format!(
        "{} {what}: {}, weight {}, owner {}{cpus}",
        name(process),
        process.state,
        process.weight,
        owner(process)
    )
}

fn going_on(connections: u64) -> String {
    match connections {
        1 => "1 connection goes on".to_owned(),
        connections => format!("{} go on", counted(connections, "connection")),
    }
}

fn counted(count: u64, what: &str) -> String {
    match count {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcp_dispatch_netlink::{Address, Refused, RefusedReason};

    const TIME: &str = "2026-01-02T03:04:05.678Z";

    fn at(text: &str) -> Address {
        text.parse().unwrap()
    }

    fn process() -> Process {
        Process::new(at("192.0.2.1:80"), at("10.77.0.1:80"))
    }

    fn refused() -> Event {
        Event::Refused(Refused {
            service_address: at("192.0.2.1:80"),
            client_address: at("198.51.100.7:40000"),
            reason: RefusedReason::NoProcess,
            count: 17,
        })
    }

    #[test]
    fn an_event_is_one_sentence_with_the_objects_that_it_concerns() {
        assert_eq!(
            describe(&Event::ProcessAdded(process())),
            "process 10.77.0.1:80 of service 192.0.2.1:80 added: active, weight 1, owner -"
        );
        let mut gone = process();
        gone.traffic.connections = 1;
        assert_eq!(
            describe(&Event::ProcessDeleted(gone)),
            "process 10.77.0.1:80 of service 192.0.2.1:80 deleted: 1 connection goes on"
        );
        assert_eq!(
            describe(&refused()),
            "service 192.0.2.1:80 refused 17 new connections, the last of 198.51.100.7:40000: \
             no-process"
        );
        assert_eq!(
            describe(&Event::ServiceAdded(Service::new(at("192.0.2.1:80")))),
            "service 192.0.2.1:80 added: scheduler rr, refusal tcp, affinity -, registrants -"
        );
    }

    #[test]
    fn events_of_ipv6_have_its_addresses() {
        let (service, process) = (at("[2001:db8::1]:80"), at("[fd77:6470::1]:80"));
        let drained = Event::ProcessDrained(Process::new(service, process));
        assert_eq!(
            describe(&drained),
            "process [fd77:6470::1]:80 of service [2001:db8::1]:80 drained"
        );
        let value: serde_json::Value = serde_json::from_str(&json_line(TIME, &drained)).unwrap();
        assert_eq!(value["msg"]["process-address"], "[fd77:6470::1]:80");
    }

    #[test]
    fn a_json_line_has_the_time_the_specifications_name_and_the_object() {
        let line = json_line(TIME, &Event::ProcessDrained(process()));
        assert_eq!(line.matches('\n').count(), 1);
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["time"], TIME);
        assert_eq!(value["name"], "process-drained-ntf");
        assert_eq!(value["msg"]["process-address"], "10.77.0.1:80");
        let value: serde_json::Value = serde_json::from_str(&json_line(TIME, &refused())).unwrap();
        assert_eq!(value["msg"]["reason"], "no-process");
        assert_eq!(value["msg"]["count"], 17);
    }

    #[test]
    fn a_loss_of_events_is_told_like_an_event() {
        assert!(describe(&Event::Lost).contains("lost"));
        let value: serde_json::Value =
            serde_json::from_str(&json_line(TIME, &Event::Lost)).unwrap();
        assert_eq!(value["name"], "lost");
        assert!(value["msg"].is_null());
    }
}
