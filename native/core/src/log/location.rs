//! Where things lie in the value log.

/// A place in the log, in the order of the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Position {
    /// Number of the file; the first one is 1.
    pub file: u32,
    /// Bytes from its start.
    pub offset: u32,
}

impl Position {
    /// Before everything.
    pub const START: Position = Position { file: 0, offset: 0 };
}

impl std::fmt::Display for Position {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "file {:08x}.log, offset {}", self.file, self.offset)
    }
}

/// One change in the log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct LogLocation {
    pub file: u32,
    /// Of the change header, in bytes from the start of the file.
    pub offset: u32,
    /// Change header, record and value in runs, without the padding.
    pub bytes: u32,
}

impl LogLocation {
    pub fn position(&self) -> Position {
        Position { file: self.file, offset: self.offset }
    }
}
