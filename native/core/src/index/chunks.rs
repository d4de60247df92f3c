//! Overflow chunks: which are allocated, which are free.

/// Numbers of chunks that no bucket links to. Chunks are taken and given back under a shard lock.
#[derive(Default, Debug)]
pub struct ChunkPool {
    free: Vec<u32>,
    /// Chunks below this have been handed out at least once.
    used: u32,
    /// Chunks below this have memory behind them.
    allocated: u32,
}

impl ChunkPool {
    /// The pool of an arena that is taken over: one flag for each chunk with memory, set when a bucket links to it.
    pub fn adopt(is_linked: &[bool]) -> ChunkPool {
        let used = is_linked.iter().rposition(|linked| *linked).map_or(0, |last| last + 1);
        let free = (0..used as u32).filter(|chunk| !is_linked[*chunk as usize]).collect();
        ChunkPool { free, used: used as u32, allocated: is_linked.len() as u32 }
    }

    pub fn take(&mut self) -> Option<u32> {
        if let Some(chunk) = self.free.pop() {
            return Some(chunk);
        }
        if self.used == self.allocated {
            return None;
        }
        self.used += 1;
        Some(self.used - 1)
    }

    /// All of them or none.
    pub fn take_many(&mut self, count: usize) -> Option<Vec<u32>> {
        if self.free_count() < count {
            return None;
        }
        (0..count).map(|_| self.take()).collect()
    }

    pub fn give(&mut self, chunk: u32) {
        debug_assert!(chunk < self.used);
        self.free.push(chunk);
    }

    pub fn free_count(&self) -> usize {
        self.free.len() + (self.allocated - self.used) as usize
    }

    pub fn allocated(&self) -> u32 {
        self.allocated
    }

    /// Chunks below `allocated` now have memory.
    pub fn set_allocated(&mut self, allocated: u32) {
        self.allocated = self.allocated.max(allocated);
    }

    /// Chunks some bucket links to.
    pub fn linked_count(&self) -> usize {
        self.used as usize - self.free.len()
    }

    /// Bytes of this table itself.
    pub fn heap_bytes(&self) -> usize {
        self.free.capacity() * 4
    }
}
