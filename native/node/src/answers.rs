//! Answers of the tiers below, packed for JavaScript: `src/native/answers.ts` draws them.

use crate::below::below;
use crate::cold::{owner, Handle, Result};
use napi::bindgen_prelude::*;
use napi_derive::napi;
use ramcache_core::below::{Answer, Tier};
use ramcache_core::record::Header;

const ABSENT: u8 = 0;
const FOUND: u8 = 1;
const ASK_AGAIN: u8 = 2;
const FAILED: u8 = 3;
const REACHED: u8 = 4;
const HEAD_BYTES: usize = 64;

/// Packs what has been answered to an asker since the last call, as much as `into` takes: the bytes of it, 0 when there
/// is nothing. When not even the next answer fits: the bytes it needs, negative.
#[napi(js_name = "collectAnswers")]
pub fn collect_answers(handle: &External<Handle>, asker: u32, mut into: Uint8Array) -> Result<f64> {
    let origin = owner(handle)?.origin();
    // SAFETY: nobody else has this buffer while the call lasts.
    let into = unsafe { into.as_mut() };
    let mut at = 0;
    match below(handle)?.misses.collect_within(asker, into.len(), packed_bytes) {
        Ok(answers) => {
            for (id, answer) in answers {
                at += pack(id, &answer, origin, &mut into[at..]);
            }
            Ok(at as f64)
        }
        Err(needed) => Ok(-(needed as f64)),
    }
}

/// Bytes that an answer takes at most.
fn packed_bytes(answer: &Answer) -> usize {
    let content = match answer {
        // The value is a part of the record or lies behind it; the tags are another part.
        Answer::Found { record, .. } => record.len(),
        Answer::Failed(error) => error.message.len() + error.code.name().len(),
        _ => 0,
    };
    HEAD_BYTES + content
}

fn pack(id: u64, answer: &Answer, origin: u64, out: &mut [u8]) -> usize {
    out[..HEAD_BYTES].fill(0);
    out[..8].copy_from_slice(&id.to_le_bytes());
    let (kind, content, aside): (u8, &[u8], &[u8]) = match answer {
        Answer::Absent => (ABSENT, &[], &[]),
        Answer::AskAgain => (ASK_AGAIN, &[], &[]),
        Answer::Reached => (REACHED, &[], &[]),
        Answer::Failed(error) => (FAILED, error.message.as_bytes(), error.code.name().as_bytes()),
        Answer::Found { record, record_bytes, tier } => {
            let header = Header::of_bytes(&record[..*record_bytes]).expect("checked when it was read");
            let value = match header.is_run() {
                true => &record[*record_bytes..],
                false => &record[header.value_at()..][..header.value_bytes as usize],
            };
            out[9] = header.value_type;
            out[10] = match tier {
                Tier::Ssd => 1,
                Tier::Hdd => 2,
            };
            out[16..24].copy_from_slice(&header.clock.to_le_bytes());
            out[24..32].copy_from_slice(&origin.to_le_bytes());
            out[32..40].copy_from_slice(&header.expires_at.to_le_bytes());
            out[40..48].copy_from_slice(&header.payload_bytes().to_le_bytes());
            out[52..56].copy_from_slice(&header.idle_ms.to_le_bytes());
            out[56..64].copy_from_slice(&header.deadline.to_le_bytes());
            (FOUND, value, &record[header.tags_at()..][..header.tags_bytes as usize])
        }
    };
    out[8] = kind;
    out[12..16].copy_from_slice(&(content.len() as u32).to_le_bytes());
    out[48..52].copy_from_slice(&(aside.len() as u32).to_le_bytes());
    let aside_at = HEAD_BYTES + content.len();
    out[HEAD_BYTES..aside_at].copy_from_slice(content);
    out[aside_at..aside_at + aside.len()].copy_from_slice(aside);
    aside_at + aside.len()
}
