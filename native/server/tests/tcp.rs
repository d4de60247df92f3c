//! Connections over TCP: what they may do before they have said who they are, and what it costs the server when they never
//! do. Shown by counters and by what ends, never by time.

mod support;

use ramcache_server::limits::Limits;
use ramcache_server::TcpOptions;
use std::io::{Read, Write};
use std::net::TcpStream;
use support::{ask, command, rest, World};

const PASSWORD: &str = "open sesame";

fn world(name: &str, limits: Limits) -> World {
    let password = Some(PASSWORD.as_bytes().to_vec());
    let tcp = TcpOptions { host: "127.0.0.1".into(), port: 0, password, tls: None };
    World::with_tcp(name, limits, 2, Some(tcp))
}

/// What is answered to some lines, to the end of the connection.
fn talk(world: &World, lines: &str) -> String {
    let mut client = world.connect_tcp();
    client.write_all(lines.as_bytes()).expect("written");
    client.shutdown(std::net::Shutdown::Write).expect("ended");
    String::from_utf8(rest(&mut client)).expect("text")
}

fn login(world: &World) -> TcpStream {
    let mut client = world.connect_tcp();
    assert_eq!(ask(&mut client, &command(&[b"AUTH", PASSWORD.as_bytes()]), 5), b"+OK\r\n");
    client
}

const NOAUTH: &str = "-NOAUTH Authentication required.\r\n";
const WRONGPASS: &str = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
const HELLO: &str = "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n";

/// Each answer is that of Redis 7.0.15 with `requirepass`.
#[test]
fn who_has_not_given_the_password_is_told_what_redis_tells() {
    let world = world("words", Limits::default());
    let cases: [(&str, &str); 18] = [
        ("PING\r\n", NOAUTH),
        ("GET k\r\n", NOAUTH),
        ("MULTI\r\n", NOAUTH),
        ("SUBSCRIBE x\r\n", NOAUTH),
        ("RC.OPEN\r\n", NOAUTH),
        ("CLIENT ID\r\n", NOAUTH),
        ("FOO a\r\n", "-ERR unknown command 'FOO', with args beginning with: 'a' \r\n"),
        ("GET\r\n", "-ERR wrong number of arguments for 'get' command\r\n"),
        ("AUTH a b c\r\n", "-ERR syntax error\r\n"),
        ("AUTH wrong\r\n", WRONGPASS),
        ("AUTH admin 'open sesame'\r\n", WRONGPASS),
        ("HELLO\r\n", HELLO),
        ("HELLO 3\r\n", HELLO),
        ("HELLO 3 AUTH default wrong\r\n", WRONGPASS),
        ("HELLO 9 AUTH default 'open sesame'\r\n", "-NOPROTO unsupported protocol version\r\n"),
        ("RESET\r\n", "+RESET\r\n"),
        ("*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"),
        ("*2\r\n$16385\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"),
    ];
    for (lines, answer) in cases {
        assert_eq!(talk(&world, lines), answer, "{lines:?}");
    }
    assert_eq!(world.total("wrong_passwords"), 3);
    assert_eq!(talk(&world, "QUIT\r\nPING\r\n"), "+OK\r\n");
    // Nothing of all that was carried out.
    assert_eq!(talk(&world, "AUTH 'open sesame'\r\nDBSIZE\r\n"), "+OK\r\n:0\r\n");
}

#[test]
fn who_has_given_the_password_stays_known_until_it_resets() {
    let world = world("known", Limits::default());
    let known = "+OK\r\n+PONG\r\n";
    assert_eq!(talk(&world, "AUTH 'open sesame'\r\nPING\r\n"), known);
    assert_eq!(talk(&world, "AUTH default 'open sesame'\r\nPING\r\n"), known);
    assert_eq!(
        talk(&world, "AUTH 'open sesame'\r\nAUTH wrong\r\nPING\r\n"),
        format!("+OK\r\n{WRONGPASS}+PONG\r\n")
    );
    assert!(talk(&world, "HELLO 3 AUTH default 'open sesame' SETNAME me\r\nCLIENT GETNAME\r\n")
        .ends_with("$2\r\nme\r\n"));
    // As Redis has it: the password counts, whatever comes of the rest.
    let answers = talk(&world, "HELLO 3 AUTH default 'open sesame' FOO\r\nPING\r\n");
    assert_eq!(answers, "-ERR Syntax error in HELLO option 'FOO'\r\n+PONG\r\n");
    let answers = talk(&world, "AUTH 'open sesame'\r\nRESET\r\nPING\r\n");
    assert_eq!(answers, format!("+OK\r\n+RESET\r\n{NOAUTH}"));
}

#[test]
fn the_unix_socket_asks_for_no_password_and_takes_the_right_one() {
    let world = world("unix", Limits::default());
    let mut client = world.connect();
    assert_eq!(ask(&mut client, b"PING\r\n", 7), b"+PONG\r\n");
    assert_eq!(ask(&mut client, &command(&[b"AUTH", PASSWORD.as_bytes()]), 5), b"+OK\r\n");
    assert_eq!(ask(&mut client, b"AUTH wrong\r\n", WRONGPASS.len()), WRONGPASS.as_bytes());
    assert_eq!(ask(&mut client, b"RESET\r\nPING\r\n", 15), b"+RESET\r\n+PONG\r\n");
}

#[test]
fn another_password_counts_for_those_who_come_after_it() {
    let world = world("another", Limits::default());
    let mut before = login(&world);
    world.server.set_credentials(Some(b"changed".to_vec()), None).expect("a password");
    assert_eq!(talk(&world, "AUTH 'open sesame'\r\n"), WRONGPASS);
    assert_eq!(talk(&world, "AUTH changed\r\n"), "+OK\r\n");
    assert_eq!(ask(&mut before, b"PING\r\n", 7), b"+PONG\r\n");
}

#[test]
fn addresses_are_shown_and_passwords_are_not() {
    let world = world("addresses", Limits::default());
    let mut client = login(&world);
    let own = client.local_addr().expect("an address").to_string();
    let list = talk(&world, "AUTH 'open sesame'\r\nCLIENT LIST\r\n");
    assert!(list.contains(&format!(" addr={own} laddr=127.0.0.1:")), "{list}");
    assert_eq!(ask(&mut client, b"CONFIG SET slowlog-log-slower-than 0\r\n", 5), b"+OK\r\n");
    let slow = talk(&world, "HELLO 2 AUTH default 'open sesame'\r\nAUTH 'open sesame'\r\nSLOWLOG GET\r\n");
    assert!(slow.contains("(redacted)") && !slow.contains("sesame"), "{slow}");
    assert!(slow.contains("\r\n127.0.0.1:"), "{slow}");
    // Nobody on another machine can be the next owner.
    ask(&mut client, b"RC.OPEN JOIN\r\n", 20);
    assert!(!world.server.has_heirs());
    assert!(!world.server.pids().contains(&0));
}

#[test]
fn of_too_many_unknown_the_oldest_goes_and_others_are_served() {
    let world = world("displaced", Limits { newcomers: 8, ..Limits::default() });
    let mut known = login(&world);
    let mut silent: Vec<TcpStream> = (0..40).map(|_| world.connect_tcp()).collect();
    world.until(|world| world.total("newcomers_displaced") == 32);
    for client in &mut silent[..32] {
        assert_eq!(rest(client), b"");
    }
    assert_eq!(ask(&mut known, b"PING\r\n", 7), b"+PONG\r\n");
    world.check_others();
    // There is room for who comes next, and the last ones are still there.
    let mut last = silent.pop().expect("the last");
    assert_eq!(ask(&mut last, &command(&[b"AUTH", PASSWORD.as_bytes()]), 5), b"+OK\r\n");
    drop(login(&world));
}

#[test]
fn who_does_not_say_who_it_is_in_time_is_gone() {
    let world = world("late", Limits { newcomer_ms: 50, ..Limits::default() });
    let mut known = login(&world);
    let mut silent = world.connect_tcp();
    let mut busy = world.connect_tcp();
    busy.write_all(b"PING\r\n").expect("written");
    assert_eq!(rest(&mut silent), b"");
    assert_eq!(rest(&mut busy), NOAUTH.as_bytes());
    assert_eq!(world.total("newcomers_late"), 2);
    assert_eq!(ask(&mut known, b"PING\r\n", 7), b"+PONG\r\n");
}

#[test]
fn what_the_unknown_send_and_do_not_take_is_little() {
    let world = world("little", Limits::default());
    let mut clients = Vec::new();
    for _ in 0..100 {
        let mut client = world.connect_tcp();
        // As much as is believed, and no end of it.
        client.write_all(b"*10\r\n$4\r\nAUTH\r\n").expect("written");
        for _ in 0..8 {
            client.write_all(b"$16384\r\n").expect("written");
            client.write_all(&[b'x'; 16384]).expect("written");
            client.write_all(b"\r\n").expect("written");
        }
        clients.push(client);
    }
    let mut deaf = world.connect_tcp();
    deaf.set_nonblocking(true).expect("not blocking");
    while world.total("output_high_hits") == 0 {
        match deaf.write(&b"PING\r\n".repeat(1000)) {
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => panic!("{error}"),
            _ => {}
        }
    }
    world.check_others();
    assert!(world.server.input_bytes() < 100 * (320 << 10), "{} bytes held", world.server.input_bytes());
    assert!(world.server.output_bytes() < 64 << 10, "{} bytes held", world.server.output_bytes());
    let mut long = world.connect_tcp();
    long.write_all(&[b'x'; 20_000]).expect("written");
    assert_eq!(rest(&mut long), b"-ERR Protocol error: too big inline request\r\n");
}

/// A TCP socket may take all there is at once, and does not ring again then.
#[test]
fn commands_that_were_held_back_go_on_when_replies_are_taken() {
    let world = world("held-back", Limits::default());
    let mut client = login(&world);
    let value = vec![b'x'; 100_000];
    assert_eq!(ask(&mut client, &command(&[b"SET", b"k", &value]), 5), b"+OK\r\n");
    let gets = 400;
    client.write_all(&command(&[b"GET", b"k"]).repeat(gets)).expect("written");
    world.until(|world| world.total("output_high_hits") > 0);
    world.check_others();
    let mut replies = vec![0; gets * (value.len() + 11)];
    client.read_exact(&mut replies).expect("replies");
    assert!(replies.ends_with(b"x\r\n"));
}

#[test]
fn a_port_that_is_taken_is_an_error_and_leaves_no_socket() {
    let world = world("taken", Limits::default());
    let port = world.server.tcp_address().expect("an address").port();
    let tcp = TcpOptions { host: "127.0.0.1".into(), port, password: None, tls: None };
    let failed = std::panic::catch_unwind(|| World::with_tcp("taken-too", Limits::default(), 1, Some(tcp)));
    let message = *failed.err().expect("a failure").downcast::<String>().expect("a text");
    assert!(message.contains(&format!("cannot listen at 127.0.0.1 port {port}: ")), "{message}");
    let mut known = login(&world);
    let mut bytes = [0; 7];
    known.write_all(b"PING\r\n").expect("written");
    known.read_exact(&mut bytes).expect("a reply");
}
