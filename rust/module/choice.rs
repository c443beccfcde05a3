// SPDX-License-Identifier: GPL-2.0

//! The choice of a process for a new connection: the scheduler's, among those that can take it.
//!
//! Softirq context, under RCU.

use crate::{
    dispatch_net::DispatchNet,
    family::Family,
    plan::{Plan, MAX_PROCESSES},
    process::Process,
    tcp_dispatch_core::{
        schedule::{self, Candidates, Occasion, Scheduler},
        Tuple,
    },
    wrappers::sock::Listener,
};
use kernel::sync::rcu::Guard;

/// How many turns a choice may take. One process after the other may be out, and each turn is a
/// look-up.
const MAX_TURNS: usize = 64;

/// A choice among the processes of a plan.
pub(crate) struct Choice<'a, A> {
    net: &'a DispatchNet,
    plan: &'a Plan,
    /// Client to service.
    tuple: &'a Tuple<A>,
    iif: i32,
    guard: &'a Guard,
    /// One bit a process: it is out of the question.
    left_out: [u64; MAX_PROCESSES / 64],
    /// How many were left out.
    attempt: u32,
    /// Whether `left_out` has all that can't take the connection.
    all_asked: bool,
    /// Whether one listens, but has no room.
    full: bool,
    /// The listener of the last process that was found to have one and room.
    listener: Option<Listener<'a>>,
}

impl<'a, A: Family> Choice<'a, A> {
    /// Begins a choice for the connection `tuple` (client to service), whose packets come by the
    /// device of index `iif`.
    pub(crate) fn new(
        net: &'a DispatchNet,
        plan: &'a Plan,
        tuple: &'a Tuple<A>,
        iif: i32,
        guard: &'a Guard,
    ) -> Self {
        Self {
            net,
            plan,
            tuple,
            iif,
            guard,
            left_out: [0; MAX_PROCESSES / 64],
            attempt: 0,
            all_asked: false,
            full: false,
            listener: None,
        }
    }

    /// Chooses; `None` if nobody can take the connection. `next_turn` gives the service's next turn.
    ///
    /// Usually the first that the scheduler names can, so only that one is asked. Where it takes
    /// turns, a process that is passed over has had its turn, and the next turn is taken: so the
    /// others keep their shares. Else all are asked, and the scheduler chooses among those that are
    /// left.
    pub(crate) fn make(&mut self, next_turn: impl Fn() -> u32) -> Option<usize> {
        let scheduler = self.plan.settings.scheduler;
        let turns = match scheduler {
            Scheduler::Rr | Scheduler::Wrr | Scheduler::Cpu => (2 * self.len()).min(MAX_TURNS),
            Scheduler::Saq => {
                self.ask_all();
                1
            }
            _ => 1,
        };
        let mut occasion = Occasion {
            turn: 0,
            client: schedule::client(self.tuple.source_ip),
            slots: &self.plan.slots,
        };
        for _ in 0..turns {
            occasion.turn = next_turn();
            let at = schedule::choose(scheduler, self, &occasion)?;
            if self.can_take(at) {
                return Some(at);
            }
        }
        self.ask_all();
        loop {
            let at = schedule::choose(scheduler, self, &occasion.again(self.attempt))?;
            if self.can_take(at) {
                return Some(at);
            }
            self.leave_out(at);
        }
    }

    /// Whether the process may be given the connection and has somebody who listens and has room.
    pub(crate) fn can_take(&mut self, at: usize) -> bool {
        let Some(process) = self.plan.processes.get(at) else {
            return false;
        };
        if self.weight(at) == 0 {
            return false;
        }
        match self.listener(process) {
            Some(listener) if listener.is_full() => {
                self.full = true;
                false
            }
            Some(listener) => {
                self.listener = Some(listener);
                true
            }
            None => false,
        }
    }

    /// Leaves a process out of what is to be chosen from.
    pub(crate) fn leave_out(&mut self, at: usize) {
        self.attempt = self.attempt.wrapping_add(1);
        if let Some(word) = self.left_out.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    /// Whether somebody was found who listens, but has no room.
    pub(crate) fn found_full(&self) -> bool {
        self.full
    }

    /// The listener of the process that was chosen last.
    pub(crate) fn listener_of_last(&self) -> Option<Listener<'a>> {
        self.listener
    }

    fn ask_all(&mut self) {
        if !self.all_asked {
            self.all_asked = true;
            for at in 0..self.len() {
                if self.weight(at) != 0 && !self.can_take(at) {
                    self.leave_out(at);
                }
            }
        }
    }

    fn listener(&self, process: &Process) -> Option<Listener<'a>> {
        process.listener(self.net.net(), self.tuple.source(), self.iif, self.guard)
    }
}

impl<A: Family> Candidates for Choice<'_, A> {
    fn len(&self) -> usize {
        self.plan.processes.len().min(MAX_PROCESSES)
    }

    fn weight(&self, at: usize) -> u16 {
        let left_out = self
            .left_out
            .get(at / 64)
            .is_none_or(|word| word & (1 << (at % 64)) != 0);
        match self.plan.processes.get(at) {
            Some(process) if !left_out && process.owner.is_there(self.guard) => {
                process.weight_now()
            }
            _ => 0,
        }
    }

    fn connections(&self, at: usize) -> u32 {
        self.plan.processes.get(at).map_or(0, |process| {
            u32::try_from(process.connections()).unwrap_or(u32::MAX)
        })
    }

    fn accept_queue(&self, at: usize) -> u32 {
        let process = self.plan.processes.get(at);
        process
            .and_then(|process| self.listener(process))
            .map_or(u32::MAX, |listener| listener.accept_queue)
    }

    fn on_cpu(&self, at: usize) -> bool {
        let process = self.plan.processes.get(at);
        process
            .and_then(|process| process.cpus.read(self.guard))
            .is_some_and(|cpus| cpus.has_this_cpu())
    }
}
