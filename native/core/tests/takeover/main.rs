//! Takeover: an owner is killed or its files are damaged, and another one adopts what it has left.

#[path = "../support/mod.rs"]
mod support;

mod copies;
mod damage;
mod history;
mod killed;
mod plain;
mod steps;
