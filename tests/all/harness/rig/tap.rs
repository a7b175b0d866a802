//! All that travels on a broker, in its own protocol: what its streams in memory are given is heard here, also what they no longer hold.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::thread;

const PIECE_BYTES: usize = 64 << 10;

/// Hears everybody.
#[derive(Debug)]
pub(crate) struct Tap {
    socket: TcpStream,
    heard: Arc<Mutex<Vec<u8>>>,
    hearing: JoinHandle<()>,
}

impl Tap {
    /// One that hears what comes from now on.
    pub(crate) fn on(address: &str) -> Self {
        let mut socket = TcpStream::connect(address.trim_start_matches("nats://")).unwrap();
        write!(
            socket,
            "CONNECT {{\"verbose\":false,\"headers\":true}}\r\nSUB > 1\r\nPING\r\n"
        )
        .unwrap();
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        let mut line = String::new();
        // What was said before it has been done by then.
        while line.trim_end() != "PONG" {
            line.clear();
            assert!(reader.read_line(&mut line).unwrap() > 0, "the broker left");
        }
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&heard);
        // The broker asks whether anybody is there after two minutes, and again: longer than a test.
        let hearing = thread("tap", move || {
            let mut piece = vec![0; PIECE_BYTES];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                all.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        Self {
            socket,
            heard,
            hearing,
        }
    }

    /// All that it has heard.
    pub(crate) fn all(self) -> Vec<u8> {
        self.socket.shutdown(Shutdown::Both).unwrap();
        self.hearing.join().unwrap();
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}
