//! Many clients at once as load generators have them: a connection and a token each, which asks again as soon as it is answered,
//! all in one thread and with requests that were written before. Threads of their own, and answers read as JSON, would take
//! a third of the processors that the server is measured on.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll;

use super::http::text;

/// Larger than any answer here.
const ANSWER_BYTES: usize = 1 << 16;

/// A client that asks the same again and again.
pub(crate) struct Asking {
    socket: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    left: usize,
}

impl Asking {
    /// One that posts that body there, so many times.
    pub(crate) fn posting(
        server: &str,
        token: &str,
        path: &str,
        body: &str,
        times: usize,
    ) -> Result<Self, String> {
        let host = server.trim_start_matches("http://").trim_end_matches('/');
        let socket = TcpStream::connect(host).map_err(text)?;
        socket.set_nodelay(true).map_err(text)?;
        socket.set_nonblocking(true).map_err(text)?;
        let length = body.len();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        Ok(Self {
            socket,
            request: request.into_bytes(),
            answer: Vec::with_capacity(ANSWER_BYTES),
            left: times,
        })
    }

    /// A request is small and the connection has nothing else on its way, so there is room for all of it.
    fn ask(&mut self) -> Result<(), String> {
        self.answer.clear();
        self.socket.write_all(&self.request).map_err(text)
    }

    /// Takes what has come of the answer, and asks again once it is whole; true when that was the last one.
    fn hear(&mut self) -> Result<bool, String> {
        let mut piece = [0; 8192];
        match self.socket.read(&mut piece) {
            Ok(0) => return Err("the server closed the connection".into()),
            Ok(count) => self.answer.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(text(error)),
        }
        if !is_whole(&self.answer)? {
            return Ok(false);
        }
        self.left -= 1;
        if self.left > 0 {
            self.ask()?;
        }
        Ok(self.left == 0)
    }
}

/// How long it takes until all of them are answered.
pub(crate) fn all_asked(mut clients: Vec<Asking>) -> Result<Duration, String> {
    let ready = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(text)?;
    for (client, at) in clients.iter().zip(0..) {
        let (data, flags) = (epoll::EventData::new_u64(at), epoll::EventFlags::IN);
        epoll::add(&ready, &client.socket, data, flags).map_err(text)?;
    }
    let begun = Instant::now();
    for client in &mut clients {
        client.ask()?;
    }
    let mut asking = clients.len();
    let mut events = Vec::with_capacity(clients.len());
    while asking > 0 {
        events.clear();
        epoll::wait(&ready, spare_capacity(&mut events), None).map_err(text)?;
        for event in &events {
            let at = usize::try_from(event.data.u64()).map_err(text)?;
            if clients[at].hear()? {
                asking -= 1;
            }
        }
    }
    Ok(begun.elapsed())
}

/// Whether all of an answer is there that must say that something was made.
fn is_whole(answer: &[u8]) -> Result<bool, String> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(false);
    };
    let head = str::from_utf8(&answer[..end]).map_err(text)?;
    if !head.starts_with("HTTP/1.1 201 ") {
        return Err(String::from_utf8_lossy(answer).into_owned());
    }
    let mut lines = head.lines();
    let length = lines.find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.ok_or("no length")?.parse().map_err(text)?;
    Ok(answer.len() >= end + 4 + length)
}
