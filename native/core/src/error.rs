//! Errors of the core: a code from the package's closed list and a sentence that names the value and the limit.

use std::fmt;

/// The `ERR_RAMCACHE_*` codes the core can raise.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// Never leaves the package: RAM does not know the key, ask the tiers below and come again.
    Cold,
    Closed,
    Config,
    Corrupt,
    Full,
    Key,
    Locked,
    NotInteger,
    Poisoned,
    Unavailable,
    Value,
}

impl Code {
    pub fn name(self) -> &'static str {
        match self {
            Code::Cold => "ERR_RAMCACHE_COLD",
            Code::Closed => "ERR_RAMCACHE_CLOSED",
            Code::Config => "ERR_RAMCACHE_CONFIG",
            Code::Corrupt => "ERR_RAMCACHE_CORRUPT",
            Code::Full => "ERR_RAMCACHE_FULL",
            Code::Key => "ERR_RAMCACHE_KEY",
            Code::Locked => "ERR_RAMCACHE_LOCKED",
            Code::NotInteger => "ERR_RAMCACHE_NOT_INTEGER",
            Code::Poisoned => "ERR_RAMCACHE_POISONED",
            Code::Unavailable => "ERR_RAMCACHE_UNAVAILABLE",
            Code::Value => "ERR_RAMCACHE_VALUE",
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreError {
    pub code: Code,
    pub message: String,
}

pub type Result<T> = std::result::Result<T, StoreError>;

impl StoreError {
    pub fn new(code: Code, message: impl Into<String>) -> StoreError {
        StoreError { code, message: message.into() }
    }

    /// With the text of the last system error behind the message.
    pub fn os(code: Code, message: impl Into<String>) -> StoreError {
        let cause = std::io::Error::last_os_error();
        StoreError { code, message: format!("{}: {cause}", message.into()) }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code.name(), self.message)
    }
}

impl std::error::Error for StoreError {}
