//! A server and clients that mean no good: what they can make it hold is bounded, and others are served meanwhile. Shown by
//! counters, never by time.

mod support;

use ramcache_server::limits::Limits;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use support::{ask, command, rest, World};

#[test]
fn a_client_that_never_reads_is_not_read_on_and_others_are_served() {
    let world = World::new("never-reads", Limits::default(), 1);
    let mut client = world.connect();
    let value = vec![b'x'; 100_000];
    assert_eq!(ask(&mut client, &command(&[b"SET", b"k", &value]), 5), b"+OK\r\n");
    client.set_nonblocking(true).expect("not blocking");
    let get = command(&[b"GET", b"k"]);
    let mut sent = 0u64;
    // 20 GB of replies, if they were made.
    while sent < 200_000 && world.total("output_high_hits") == 0 {
        match client.write(&get) {
            Ok(bytes) => sent += (bytes / get.len()) as u64,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }
    let before = world.total("commands_processed");
    for _ in 0..50_000 {
        let _ = client.write(&get);
    }
    world.check_others();
    // One PING, and what fitted before the mark was reached again.
    assert!(world.total("commands_processed") < before + 100);
    assert!(world.server.output_bytes() < 3 << 20, "{} bytes held", world.server.output_bytes());
    assert_eq!(world.total("output_hard_hits"), 0);
}

#[test]
fn replies_of_many_that_never_read_are_bounded_together() {
    let limits = Limits { output_total_bytes: 8 << 20, ..Limits::default() };
    let world = World::new("many-never-read", limits, 2);
    let value = vec![b'x'; 4 << 20];
    let mut writer = world.connect();
    assert_eq!(ask(&mut writer, &command(&[b"SET", b"k", &value]), 5), b"+OK\r\n");
    let mut clients: Vec<UnixStream> = (0..40).map(|_| world.connect()).collect();
    for client in &mut clients {
        let _ = client.write_all(&command(&[b"GET", b"k"]));
    }
    world.until(|world| world.total("output_hard_hits") >= 30);
    world.check_others();
    assert!(world.server.output_bytes() <= 13 << 20, "{} bytes held", world.server.output_bytes());
}

#[test]
fn a_giant_pipeline_is_answered_in_order_while_others_are_served() {
    let world = World::new("pipeline", Limits::default(), 1);
    let mut client = world.connect();
    let mut reader = client.try_clone().expect("another handle");
    const COMMANDS: usize = 300_000;
    let writer = std::thread::spawn(move || {
        let batch = command(&[b"INCR", b"n"]).repeat(1000);
        for _ in 0..COMMANDS / 1000 {
            client.write_all(&batch).expect("written");
        }
        client
    });
    let mut bytes = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    let mut answered = 0;
    let mut others = 0;
    while answered < COMMANDS {
        let count = reader.read(&mut chunk).expect("replies");
        bytes.extend_from_slice(&chunk[..count]);
        while let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") {
            answered += 1;
            assert_eq!(&bytes[..end], format!(":{answered}").as_bytes());
            bytes.drain(..end + 2);
        }
        if others < 20 {
            world.check_others();
            others += 1;
        }
    }
    drop(writer.join().expect("the writer"));
    assert_eq!(others, 20);
}

#[test]
fn giant_lengths_are_refused_before_their_bytes_come() {
    let world = World::new("lengths", Limits::default(), 1);
    for bytes in [
        &b"*1\r\n$67108865\r\n"[..],
        b"*1048577\r\n",
        b"*1\r\n$9223372036854775807\r\n",
        b"*-5\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$99999999999\r\n",
    ] {
        let mut client = world.connect();
        client.write_all(bytes).expect("written");
        assert!(rest(&mut client).starts_with(b"-ERR Protocol error: invalid "));
    }
    assert_eq!(world.total("frames_refused"), 4);
    // Each may be as long as allowed, but not all of them at a time.
    world.check_others();
}

#[test]
fn unfinished_frames_of_all_connections_are_bounded_together() {
    let limits = Limits { input_total_bytes: 16 << 20, ..Limits::default() };
    let world = World::new("unfinished", limits, 2);
    let part = vec![b'x'; 2 << 20];
    let mut clients = Vec::new();
    for _ in 0..40 {
        let mut client = world.connect();
        // The server may have closed it before all of it is written.
        let _ = client.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$67108864\r\n");
        let _ = client.write_all(&part);
        clients.push(client);
    }
    world.until(|world| world.total("input_total_hits") >= 20);
    world.check_others();
    assert!(world.server.input_bytes() < 32 << 20, "{} bytes held", world.server.input_bytes());
}

#[test]
fn thousands_of_opens_and_closes_leave_nothing() {
    let world = World::new("opens", Limits::default(), 2);
    for round in 0..5000 {
        let mut client = world.connect();
        match round % 4 {
            0 => {}
            1 => drop(client.write_all(b"*2\r\n$3\r\nGET\r\n$1")),
            2 => drop(client.write_all(b"PING\r\nPING\r\n")),
            _ => assert_eq!(ask(&mut client, b"PING\r\n", 7), b"+PONG\r\n"),
        }
    }
    world.until(|world| world.server.connections() == 0);
    assert_eq!(world.total("connections_received"), 5000);
    assert_eq!((world.server.input_bytes(), world.server.output_bytes()), (0, 0));
    world.check_others();
}

#[test]
fn more_connections_than_allowed_are_turned_away() {
    let limits = Limits { connections: 10, ..Limits::default() };
    let world = World::new("too-many", limits, 2);
    let mut clients: Vec<UnixStream> = (0..10).map(|_| world.connect()).collect();
    for client in &mut clients {
        assert_eq!(ask(client, b"PING\r\n", 7), b"+PONG\r\n");
    }
    let mut last = world.connect();
    assert_eq!(rest(&mut last), b"-ERR max number of clients reached\r\n");
    assert_eq!(world.total("connections_refused"), 1);
    clients.pop();
    world.until(|world| world.server.connections() == 9);
    world.check_others();
}

#[test]
fn random_bytes_never_end_the_server() {
    let world = World::new("random", Limits::default(), 2);
    let mut state = std::process::id() as u64 * 2_654_435_761 + 1;
    println!("seed {state}");
    let mut next = move || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    };
    const WORDS: [&[u8]; 27] = [
        b"SET",
        b"GET",
        b"MULTI",
        b"EXEC",
        b"WATCH",
        b"k",
        b"",
        b"-1",
        b"9223372036854775807",
        b"RC.SET",
        b"default",
        b"MSET",
        b"SETRANGE",
        b"CLIENT",
        b"CONFIG",
        b"OBJECT",
        b"SCAN",
        b"HELLO",
        b"3",
        b"\0\xff\r\n",
        b"EX",
        b"INCRBYFLOAT",
        b"RC.MSET",
        b"COPY",
        b"PING",
        b"RC.GET",
        b"SUBSCRIBE",
    ];
    for _ in 0..2000 {
        let mut client = world.connect();
        let mut bytes = Vec::new();
        for _ in 0..next() % 20 {
            let count = 1 + next() % 6;
            let args: Vec<&[u8]> = (0..count).map(|_| WORDS[next() as usize % WORDS.len()]).collect();
            bytes.extend(command(&args));
            if next() % 8 == 0 {
                bytes.push(next() as u8);
            }
        }
        let _ = client.write_all(&bytes);
        let _ = client.shutdown(std::net::Shutdown::Write);
        rest(&mut client);
    }
    world.check_others();
    world.owned.store().check().expect("a sound store");
}
