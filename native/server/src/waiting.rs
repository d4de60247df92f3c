//! Commands that cannot be answered yet.

use crate::context::Progress;
use crate::frame::OwnedArgs;

/// What a parked command waits for.
pub enum For {
    /// Answers of the tiers below; then it runs again. How many are still to come.
    Below { args: OwnedArgs, command: usize, progress: Progress, outstanding: usize },
    /// The log; then this is the reply.
    Log { reply: Vec<u8> },
    /// JavaScript, which sends the reply.
    Control,
}

pub struct Waiting {
    pub what: For,
    pub is_read: bool,
}

impl Waiting {
    pub fn byte_count(&self) -> usize {
        match &self.what {
            For::Below { args, progress, .. } => {
                args.byte_count()
                    + progress.found.values().map(crate::context::Kept::byte_count).sum::<usize>()
            }
            For::Log { reply } => reply.len(),
            For::Control => 0,
        }
    }
}
