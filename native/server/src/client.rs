//! One connection: its socket, what it has sent, what it is to get.

use crate::frame::Decoder;
use crate::limits::Limits;
use crate::session::Session;
use crate::transport::Transport;
use crate::waiting::Waiting;
use std::collections::VecDeque;

pub struct Connection {
    pub id: u64,
    pub transport: Transport,
    pub session: Session,
    pub decoder: Decoder,
    /// Replies on their way out; what is before `sent` has gone.
    pub output: Vec<u8>,
    pub sent: usize,
    /// Commands that are not answered yet, and those behind them that are, in their order.
    pub slots: VecDeque<Slot>,
    /// The number of the first slot.
    pub first_slot: u64,
    /// Slots whose command has not been run: reads, and others.
    pub open_reads: usize,
    pub open_others: usize,
    pub is_readable: bool,
    pub is_writable: bool,
    /// The end of what the other side sends is somewhere in the socket.
    pub is_hung_up: bool,
    /// The other side sends nothing more.
    pub is_ended: bool,
    /// It is gone, or has to go: nothing is written any more.
    pub is_broken: bool,
    /// It is in the list of those that have something to do.
    pub is_queued: bool,
    /// Nothing was left to read or run at the end of its last turn.
    pub is_starved: bool,
    /// It is counted among those that have not said who they are.
    pub is_newcomer: bool,
    /// Accounted to all connections.
    pub counted_input: usize,
    pub counted_output: usize,
}

/// A reply in its place.
pub enum Slot {
    Ready(Vec<u8>),
    Waiting(Box<Waiting>),
}

impl Connection {
    /// Whether it may do what it asks for.
    pub fn is_admitted(&self) -> bool {
        self.session.is_authenticated && !self.transport.is_handshaking()
    }

    /// Replies not taken, from which on nothing more is read from it: fewer from somebody unknown.
    pub fn output_high_bytes(&self, limits: &Limits) -> usize {
        match self.is_admitted() {
            true => limits.output_high_bytes,
            false => limits.output_high_bytes.min(limits.newcomer_output_bytes),
        }
    }

    /// Bytes of replies that are not taken, those in slots included.
    pub fn output_bytes(&self) -> usize {
        let ready: usize = self
            .slots
            .iter()
            .map(|slot| match slot {
                Slot::Ready(reply) => reply.len(),
                Slot::Waiting(waiting) => waiting.byte_count(),
            })
            .sum();
        self.output.len() - self.sent + ready
    }

    /// Moves replies whose turn has come to the output.
    pub fn release_replies(&mut self) {
        while let Some(Slot::Ready(_)) = self.slots.front() {
            let Some(Slot::Ready(reply)) = self.slots.pop_front() else { break };
            self.first_slot += 1;
            self.output.extend_from_slice(&reply);
        }
    }

    pub fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        self.slots.get_mut(number.checked_sub(self.first_slot)? as usize)
    }
}
