//! COMMAND: what there is, for clients that ask.

use super::docs::DOCS;
use super::{is_word, keys_of, unknown_subcommand, wrong_arity, Command, COMMANDS};
use crate::context::{error, Context, Run, SYNTAX};
use crate::frame::Args;
use crate::glob;

pub fn command(context: &mut Context, args: Args) -> Run {
    if args.len() == 1 {
        return describe_all(context);
    }
    let name = args.get(1);
    let wrong = |subcommand: &str| error(wrong_arity(&format!("command|{subcommand}")));
    match () {
        () if is_word(name, "count") && args.len() == 2 => context.reply().integer(COMMANDS.len() as i64),
        () if is_word(name, "count") => return wrong("count"),
        () if is_word(name, "info") && args.len() == 2 => return describe_all(context),
        () if is_word(name, "info") => {
            context.reply().array(args.len() - 2);
            for name in args.from(2) {
                match super::find(name) {
                    Some(number) => describe(context, &COMMANDS[number]),
                    None => context.reply().nil_array(),
                }
            }
        }
        () if is_word(name, "list") => return list(context, args),
        () if is_word(name, "docs") => docs(context, args),
        () if is_word(name, "getkeys") && args.len() >= 4 => return get_keys(context, args.skip(2)),
        () if is_word(name, "getkeys") => return wrong("getkeys"),
        () => return error(unknown_subcommand("command", name)),
    }
    Ok(())
}

fn describe_all(context: &mut Context) -> Run {
    context.reply().array(COMMANDS.len());
    COMMANDS.iter().for_each(|command| describe(context, command));
    Ok(())
}

fn describe(context: &mut Context, command: &Command) {
    let mut flags = vec![if command.has(super::WRITE) { "write" } else { "readonly" }];
    if command.has(super::FAST) {
        flags.push("fast");
    }
    if command.has(super::ADMIN) {
        flags.push("admin");
    }
    if command.has(super::UNKNOWN) {
        flags.push("no_auth");
    }
    let (first, last, step) = command.keys;
    let mut reply = context.reply();
    reply.array(10);
    reply.bulk(command.name.as_bytes());
    reply.integer(command.arity as i64);
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.simple(flag));
    for number in [first, last, step] {
        reply.integer(number as i64);
    }
    reply.set(0);
    reply.array(0);
    reply.array(0);
    reply.array(0);
}

/// `COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]`
fn list(context: &mut Context, args: Args) -> Run {
    let is_wanted: &dyn Fn(&Command) -> bool = match args.len() {
        2 => &|_| true,
        5 if is_word(args.get(2), "filterby") => match args.get(3) {
            kind if is_word(kind, "pattern") => {
                &|command| glob::matches(&args.get(4).to_ascii_lowercase(), command.name.as_bytes())
            }
            kind if is_word(kind, "module") => &|_| false,
            kind if is_word(kind, "aclcat") => &|command| is_of_category(command, args.get(4)),
            _ => return error(SYNTAX),
        },
        _ => return error(SYNTAX),
    };
    let found: Vec<&Command> = COMMANDS.iter().filter(|command| is_wanted(command)).collect();
    let mut reply = context.reply();
    reply.array(found.len());
    found.iter().for_each(|command| reply.bulk(command.name.as_bytes()));
    Ok(())
}

/// Of the categories of Redis those that the table can tell.
fn is_of_category(command: &Command, category: &[u8]) -> bool {
    let has_keys = command.keys.0 != 0;
    match () {
        () if is_word(category, "read") => command.has(super::READ) && has_keys,
        () if is_word(category, "write") => command.has(super::WRITE),
        () if is_word(category, "fast") => command.has(super::FAST),
        () if is_word(category, "slow") => !command.has(super::FAST),
        () if is_word(category, "admin") => command.has(super::ADMIN),
        () => DOCS.iter().any(|doc| doc.name == command.name && is_word(category, doc.group)),
    }
}

/// Without names, all.
fn docs(context: &mut Context, args: Args) {
    let wanted = |name: &str| args.len() == 2 || args.from(2).any(|arg| is_word(arg, name));
    let found: Vec<_> = DOCS.iter().filter(|doc| wanted(doc.name)).collect();
    let mut reply = context.reply();
    reply.map(found.len());
    for doc in found {
        reply.bulk(doc.name.as_bytes());
        reply.map(3);
        for (field, text) in [("summary", doc.summary), ("since", doc.since), ("group", doc.group)] {
            reply.bulk(field.as_bytes());
            reply.bulk(text.as_bytes());
        }
    }
}

fn get_keys(context: &mut Context, args: Args) -> Run {
    let Some(number) = super::find(args.get(0)) else { return error("ERR Invalid command specified") };
    let command = &COMMANDS[number];
    if !command.takes(args.len()) {
        return error("ERR Invalid number of arguments specified for command");
    }
    let places = keys_of(command, args).1;
    if places.is_empty() {
        return error("ERR The command has no key arguments");
    }
    let mut reply = context.reply();
    reply.array(places.len());
    places.into_iter().for_each(|at| reply.bulk(args.get(at)));
    Ok(())
}
