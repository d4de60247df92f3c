//! TLS: who gets in, what changes while the server runs, and clients that mean no good. Others are served meanwhile; shown by
//! counters and by what ends, never by time.

mod support;

#[path = "support/certificates.rs"]
mod certificates;

use certificates::Authority;
use ramcache_server::limits::Limits;
use ramcache_server::TcpOptions;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use support::{ask, command, rest, World};

const PASSWORD: &str = "open sesame";

fn tcp(authority: &Authority, asks_clients: bool) -> TcpOptions {
    TcpOptions {
        host: "127.0.0.1".into(),
        port: 0,
        password: (!asks_clients).then(|| PASSWORD.as_bytes().to_vec()),
        tls: Some(authority.server("server", asks_clients)),
    }
}

fn world(name: &str, limits: Limits, tcp: TcpOptions) -> World {
    World::with_tcp(name, limits, 2, Some(tcp))
}

fn login() -> Vec<u8> {
    command(&[b"AUTH", PASSWORD.as_bytes()])
}

#[test]
fn long_values_and_pipelines_go_through_and_the_end_is_said() {
    let authority = Authority::new("values");
    let world = world("tls-values", Limits::default(), tcp(&authority, false));
    let mut client = authority.connect(world.connect_tcp(), None);
    assert_eq!(ask(&mut client, b"PING\r\n", 34), b"-NOAUTH Authentication required.\r\n");
    assert_eq!(ask(&mut client, &login(), 5), b"+OK\r\n");
    let value: Vec<u8> = (0..5_000_000u32).map(|number| (number % 251) as u8).collect();
    assert_eq!(ask(&mut client, &command(&[b"SET", b"k", &value]), 5), b"+OK\r\n");
    let reply = ask(&mut client, &command(&[b"GET", b"k"]), value.len() + 12);
    assert!(reply.starts_with(b"$5000000\r\n") && reply[10..].starts_with(&value));
    let pongs = ask(&mut client, &b"PING\r\n".repeat(20_000), 7 * 20_000);
    assert_eq!(pongs, b"+PONG\r\n".repeat(20_000));
    client.write_all(b"QUIT\r\n").expect("written");
    let mut last = Vec::new();
    // An end that is not said would be an error here.
    client.read_to_end(&mut last).expect("an end");
    assert_eq!(last, b"+OK\r\n");
}

#[test]
fn replies_that_are_not_taken_are_bounded_over_tls_too() {
    let authority = Authority::new("deaf");
    let world = world("tls-deaf", Limits::default(), tcp(&authority, false));
    let mut client = authority.connect(world.connect_tcp(), None);
    assert_eq!(ask(&mut client, &login(), 5), b"+OK\r\n");
    let value = vec![b'x'; 100_000];
    assert_eq!(ask(&mut client, &command(&[b"SET", b"k", &value]), 5), b"+OK\r\n");
    let gets = 400;
    client.write_all(&command(&[b"GET", b"k"]).repeat(gets)).expect("written");
    world.until(|world| world.total("output_high_hits") > 0);
    world.check_others();
    assert!(world.server.output_bytes() < 3 << 20, "{} bytes held", world.server.output_bytes());
    // And all come, once they are taken.
    let reply_bytes = value.len() + 11;
    let mut replies = vec![0; gets * reply_bytes];
    client.read_exact(&mut replies).expect("replies");
    assert!(replies
        .chunks(reply_bytes)
        .all(|reply| reply.starts_with(b"$100000\r\nxxx") && reply.ends_with(b"x\r\n")));
}

#[test]
fn a_certificate_of_the_clients_is_asked_for_where_there_is_an_authority() {
    let authority = Authority::new("mutual");
    let world = world("tls-mutual", Limits::default(), tcp(&authority, true));
    let mut client = authority.connect(world.connect_tcp(), Some(&authority.sign("client")));
    assert_eq!(ask(&mut client, b"PING\r\n", 7), b"+PONG\r\n");
    let strangers = Authority::new("strangers");
    for own in [None, Some(strangers.sign("client"))] {
        let mut stranger = authority.connect(world.connect_tcp(), own.as_ref());
        let _ = stranger.write_all(b"PING\r\n");
        let mut bytes = Vec::new();
        assert!(stranger.read_to_end(&mut bytes).is_err());
        assert_eq!(bytes, b"");
    }
    assert_eq!(world.total("tls_failures"), 2);
}

#[test]
fn another_certificate_counts_for_those_who_come_after_it() {
    let (before, after) = (Authority::new("before"), Authority::new("after"));
    let world = world("tls-change", Limits::default(), tcp(&before, false));
    let mut client = before.connect(world.connect_tcp(), None);
    assert_eq!(ask(&mut client, &login(), 5), b"+OK\r\n");
    let password = Some(PASSWORD.as_bytes().to_vec());
    // One that is of no use changes nothing.
    let mut unfit = after.server("unfit", false);
    unfit.key = before.sign("another").1;
    let error = world.server.set_credentials(password.clone(), Some(&unfit)).expect_err("an error");
    assert!(error.message.contains("tcp.tls.key"), "{}", error.message);
    drop(before.connect(world.connect_tcp(), None));
    world.server.set_credentials(password, Some(&after.server("server", false))).expect("a certificate");
    let mut next = after.connect(world.connect_tcp(), None);
    assert_eq!(ask(&mut next, &login(), 5), b"+OK\r\n");
    let mut late = before.connect(world.connect_tcp(), None);
    assert!(late.write_all(b"PING\r\n").and_then(|()| late.read_exact(&mut [0])).is_err());
    assert_eq!(ask(&mut client, b"PING\r\n", 7), b"+PONG\r\n");
}

#[test]
fn what_is_no_handshake_ends_its_connection_and_no_other() {
    let authority = Authority::new("garbage");
    let world = world("tls-garbage", Limits::default(), tcp(&authority, false));
    let mut known = authority.connect(world.connect_tcp(), None);
    assert_eq!(ask(&mut known, &login(), 5), b"+OK\r\n");
    let mut state = 88_172_645_463_325_252u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let cases = 300;
    for case in 0..cases {
        let mut client = world.connect_tcp();
        let mut bytes: Vec<u8> = (0..2000).map(|_| next() as u8).collect();
        match case % 4 {
            // Commands without TLS.
            0 => bytes = b"PING\r\n".repeat(10),
            // The head of a record of a handshake, and no handshake in it.
            1 => bytes[..5].copy_from_slice(&[22, 3, 1, 0x07, 0]),
            // A message of a handshake that is longer than any.
            2 => bytes[..9].copy_from_slice(&[22, 3, 1, 0x07, 0, 1, 0xff, 0xff, 0xff]),
            _ => {}
        }
        let _ = client.write_all(&bytes);
        let _ = client.shutdown(Shutdown::Write);
        rest(&mut client);
    }
    assert!(world.total("tls_failures") > cases / 2, "{}", world.total("tls_failures"));
    assert_eq!(ask(&mut known, b"PING\r\n", 7), b"+PONG\r\n");
    assert_eq!(world.server.connections(), 1);
}

#[test]
fn handshakes_that_never_end_are_few_and_keep_nobody_out() {
    let authority = Authority::new("slow");
    let limits = Limits { newcomers: 16, ..Limits::default() };
    let world = world("tls-slow", limits, tcp(&authority, false));
    let mut known = authority.connect(world.connect_tcp(), None);
    assert_eq!(ask(&mut known, &login(), 5), b"+OK\r\n");
    let mut slow: Vec<TcpStream> = Vec::new();
    for _ in 0..200 {
        let mut client = world.connect_tcp();
        // The beginning of what would be a handshake.
        let _ = client.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
        slow.push(client);
        assert_eq!(ask(&mut known, b"PING\r\n", 7), b"+PONG\r\n");
    }
    world.until(|world| world.total("newcomers_displaced") >= 184);
    assert!(world.server.connections() <= 17, "{} connections", world.server.connections());
    let mut other = authority.connect(world.connect_tcp(), None);
    assert_eq!(ask(&mut other, &login(), 5), b"+OK\r\n");
}

#[test]
fn a_handshake_that_takes_too_long_is_ended() {
    let authority = Authority::new("late");
    let limits = Limits { newcomer_ms: 50, ..Limits::default() };
    let world = world("tls-late", limits, tcp(&authority, true));
    let mut silent = world.connect_tcp();
    assert_eq!(rest(&mut silent), b"");
    assert_eq!(world.total("newcomers_late"), 1);
    world.check_others();
}

#[test]
fn many_handshakes_at_a_time_all_come_through_beside_others() {
    let authority = Authority::new("many");
    let world = world("tls-many", Limits::default(), tcp(&authority, false));
    let mut known = authority.connect(world.connect_tcp(), None);
    assert_eq!(ask(&mut known, &login(), 5), b"+OK\r\n");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let mut client = authority.connect(world.connect_tcp(), None);
                    assert_eq!(ask(&mut client, &login(), 5), b"+OK\r\n");
                }
            });
        }
        for _ in 0..100 {
            assert_eq!(ask(&mut known, b"PING\r\n", 7), b"+PONG\r\n");
        }
    });
    assert_eq!(world.total("tls_failures"), 0);
}

#[test]
fn certificates_that_are_of_no_use_are_refused_by_name() {
    let authority = Authority::new("refused");
    let sound = authority.server("server", true);
    let another = authority.sign("another").1;
    for (name, tls) in [
        ("tcp.tls.cert", ramcache_server::TlsOptions { cert: b"nothing".to_vec(), ..sound.clone() }),
        ("tcp.tls.key", ramcache_server::TlsOptions { key: b"nothing".to_vec(), ..sound.clone() }),
        ("tcp.tls.key", ramcache_server::TlsOptions { key: another, ..sound.clone() }),
        ("tcp.tls.ca", ramcache_server::TlsOptions { ca: Some(Vec::new()), ..sound.clone() }),
    ] {
        let options = TcpOptions { tls: Some(tls), ..tcp(&authority, true) };
        let failed = std::panic::catch_unwind(|| world("tls-refused", Limits::default(), options));
        let message = *failed.err().expect("a failure").downcast::<String>().expect("a text");
        assert!(message.contains(name), "{message}");
    }
}
