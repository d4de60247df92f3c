//! Loom models of everything a reader does without a lock, against the real index, segments, runs and reader.
//!
//! Each model is one writer's step, in the store's own order and by the store's own primitives, and a reader beside
//! it; an [`Oracle`] says which versions the reader may return. Each model also runs with faults: the same step with
//! one fence, store or look left out or moved. A fault that loom does not find means that the model proves nothing,
//! so it fails the test. What is not covered is in `docs/TESTING-NATIVE.md`.
#![cfg(loom)]

mod filter;
mod moves;
mod publish;
mod runs;
mod tokens;
mod world;
