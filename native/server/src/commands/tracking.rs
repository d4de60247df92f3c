//! CLIENT TRACKING and its kin. Words and their order are Redis's.

use super::is_word;
use crate::context::{error, integer, Context, Run, Stop, SYNTAX};
use crate::frame::Args;
use crate::session::{Choice, Tracks};
use crate::tracking::Tracker;
use std::sync::atomic::Ordering;
use std::sync::Arc;

/// Prefixes of one connection, and the longest: no key is longer.
const PREFIXES_MAX: usize = 1024;
const PREFIX_BYTES_MAX: usize = 4096;

/// What stands behind `CLIENT TRACKING ON | OFF`.
#[derive(Default)]
struct Options {
    redirect: Option<u64>,
    is_broadcast: bool,
    opts_in: bool,
    opts_out: bool,
    no_loop: bool,
    prefixes: Vec<Vec<u8>>,
}

impl Options {
    fn parse(context: &Context, args: Args) -> Result<Options, Stop> {
        let mut options = Options::default();
        let mut rest = args.from(3);
        while let Some(word) = rest.next() {
            match () {
                () if is_word(word, "redirect") && rest.len() > 0 => {
                    if options.redirect.is_some() {
                        return error("ERR A client can only redirect to a single other client");
                    }
                    let id = integer(rest.next().unwrap_or_default())?;
                    let found = context.worker.shared.registry.find(id as u64);
                    if id != 0 && found.is_none() {
                        return error("ERR The client ID you want redirect to does not exist");
                    }
                    options.redirect = found.map(|client| client.id);
                }
                () if is_word(word, "bcast") => options.is_broadcast = true,
                () if is_word(word, "optin") => options.opts_in = true,
                () if is_word(word, "optout") => options.opts_out = true,
                () if is_word(word, "noloop") => options.no_loop = true,
                () if is_word(word, "prefix") && rest.len() > 0 => {
                    options.prefixes.extend(rest.next().map(<[u8]>::to_vec));
                }
                () => return error(SYNTAX),
            }
        }
        Ok(options)
    }

    fn choice(&self) -> Choice {
        match (self.opts_in, self.opts_out) {
            (true, _) => Choice::In,
            (_, true) => Choice::Out,
            _ => Choice::All,
        }
    }

    /// Against each other, and against how the client tracks already.
    fn check(&self, now: Option<&Tracks>) -> Run {
        const OTHER_MODE: &str =
            "before disabling tracking for this client, and then re-enabling it with a different mode.";
        if !self.is_broadcast && !self.prefixes.is_empty() {
            return error("ERR PREFIX option requires BCAST mode to be enabled");
        }
        if now.is_some_and(|now| now.prefixes.is_some() != self.is_broadcast) {
            return error(format!("ERR You can't switch BCAST mode on/off {OTHER_MODE}"));
        }
        if self.is_broadcast && (self.opts_in || self.opts_out) {
            return error("ERR OPTIN and OPTOUT are not compatible with BCAST");
        }
        if self.opts_in && self.opts_out {
            return error("ERR You can't specify both OPTIN mode and OPTOUT mode");
        }
        let switches = |now: &Tracks| {
            matches!((now.choice, self.choice()), (Choice::In, Choice::Out) | (Choice::Out, Choice::In))
        };
        if now.is_some_and(switches) {
            return error(format!("ERR You can't switch OPTIN/OPTOUT mode {OTHER_MODE}"));
        }
        self.check_prefixes(now.and_then(|now| now.prefixes.as_deref()).unwrap_or_default())
    }

    fn check_prefixes(&self, known: &[Vec<u8>]) -> Run {
        if let Some(long) = self.prefixes.iter().find(|prefix| prefix.len() > PREFIX_BYTES_MAX) {
            let bytes = long.len();
            return error(format!("ERR a prefix of {bytes} bytes, the limit is {PREFIX_BYTES_MAX}"));
        }
        if self.prefixes.len() + known.len() > PREFIXES_MAX {
            return error(format!("ERR more than {PREFIXES_MAX} prefixes, which is the limit"));
        }
        let overlaps = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
        let refuse = |one: &[u8], what: &str, other: &[u8]| {
            let (one, other) = (String::from_utf8_lossy(one), String::from_utf8_lossy(other));
            error(format!(
                "ERR Prefix '{one}' overlaps with {what} prefix '{other}'. Prefixes for a single client must not overlap."
            ))
        };
        for (number, prefix) in self.prefixes.iter().enumerate() {
            if let Some(other) = known.iter().find(|other| overlaps(other, prefix)) {
                return refuse(prefix, "an existing", other);
            }
            if let Some(other) = self.prefixes[number + 1..].iter().find(|other| overlaps(other, prefix)) {
                return refuse(prefix, "another provided", other);
            }
        }
        Ok(())
    }
}

/// `CLIENT TRACKING ON | OFF [REDIRECT id] [PREFIX prefix]... [BCAST] [OPTIN] [OPTOUT] [NOLOOP]`
pub fn tracking(context: &mut Context, args: Args) -> Run {
    let mut options = Options::parse(context, args)?;
    match args.get(2) {
        word if is_word(word, "off") => end(context),
        word if is_word(word, "on") => {
            options.check(context.session.tracks.as_ref())?;
            begin(context, &mut options)?;
        }
        _ => return error(SYNTAX),
    }
    context.reply().ok();
    Ok(())
}

fn begin(context: &mut Context, options: &mut Options) -> Run {
    let shared = Arc::clone(&context.worker.shared);
    let client = Arc::clone(&context.session.client);
    let known = context.session.tracks.as_ref().and_then(|now| now.prefixes.clone());
    // Without prefixes it is all keys, which may have been asked for before.
    if options.is_broadcast && options.prefixes.is_empty() && known.as_ref().is_none_or(Vec::is_empty) {
        options.prefixes.push(Vec::new());
    }
    let tracker = Tracker {
        thread: client.thread,
        redirect: options.redirect,
        no_loop: options.no_loop,
        prefixes: options.is_broadcast.then(|| options.prefixes.clone()),
        namespaces: [context.session.namespace.id].into(),
    };
    if !shared.track(client.id, tracker) {
        let bytes = context.worker.limits.tracking_bytes;
        return error(format!("ERR what clients track takes {bytes} bytes, which is the limit"));
    }
    let mut prefixes = options.is_broadcast.then(|| known.unwrap_or_default());
    if let Some(prefixes) = &mut prefixes {
        prefixes.append(&mut options.prefixes);
        prefixes.sort_unstable();
    }
    context.session.tracks = Some(Tracks {
        choice: options.choice(),
        caching: None,
        no_loop: options.no_loop,
        redirect: options.redirect,
        is_redirect_gone: false,
        prefixes,
    });
    client.is_tracking.store(true, Ordering::Relaxed);
    client.redirect.store(options.redirect.map_or(0, |id| id as i64), Ordering::Relaxed);
    Ok(())
}

/// Ends the tracking of a connection, without a word.
fn end(context: &mut Context) {
    let shared = Arc::clone(&context.worker.shared);
    end_tracking(context.session, &shared);
}

pub fn end_tracking(session: &mut crate::session::Session, shared: &crate::shared::Shared) {
    if session.tracks.take().is_some() {
        shared.untrack(session.client.id);
        session.client.is_tracking.store(false, Ordering::Relaxed);
        session.client.redirect.store(-1, Ordering::Relaxed);
    }
}

/// `CLIENT CACHING YES | NO`: of the next command, or of all between MULTI and EXEC.
pub fn caching(context: &mut Context, args: Args) -> Run {
    let Some(tracks) = &mut context.session.tracks else {
        return error("ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled");
    };
    match (args.get(2), tracks.choice) {
        (word, Choice::In) if is_word(word, "yes") => tracks.caching = Some(true),
        (word, _) if is_word(word, "yes") => {
            return error("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
        }
        (word, Choice::Out) if is_word(word, "no") => tracks.caching = Some(false),
        (word, _) if is_word(word, "no") => {
            return error("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
        }
        _ => return error(SYNTAX),
    }
    context.reply().ok();
    Ok(())
}

pub fn get_redirect(context: &mut Context) -> Run {
    let redirect = context.session.client.redirect.load(Ordering::Relaxed);
    context.reply().integer(redirect);
    Ok(())
}

pub fn tracking_info(context: &mut Context) -> Run {
    let redirect = context.session.client.redirect.load(Ordering::Relaxed);
    let (mut flags, mut prefixes) = (vec!["off"], Vec::new());
    if let Some(tracks) = &context.session.tracks {
        flags = vec!["on"];
        let is_chosen = tracks.caching.is_some();
        for (flag, is_so) in [
            ("bcast", tracks.prefixes.is_some()),
            ("optin", tracks.choice == Choice::In),
            ("caching-yes", tracks.choice == Choice::In && is_chosen),
            ("optout", tracks.choice == Choice::Out),
            ("caching-no", tracks.choice == Choice::Out && is_chosen),
            ("noloop", tracks.no_loop),
            ("broken_redirect", tracks.is_redirect_gone),
        ] {
            if is_so {
                flags.push(flag);
            }
        }
        prefixes.extend(tracks.prefixes.iter().flatten().cloned());
    }
    let mut reply = context.reply();
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirect);
    reply.bulk(b"prefixes");
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}
