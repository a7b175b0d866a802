//! Object storage of a test's own: moto behind a door that can be shut. Shut, connections break and new ones are refused, and
//! what is stored stays.

use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::super::skip;
use super::{http, thread};

/// Its only bucket.
const BUCKET: &str = "kept";
const COPY_BYTES: usize = 64 << 10;

/// To whoever signs anything at all, moto gives everything.
const SIGNED: [(&str, &str); 1] = [(
    "Authorization",
    "AWS4-HMAC-SHA256 Credential=key/20260101/here/s3/aws4_request, SignedHeaders=host, Signature=0",
)];

/// A running server. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct S3 {
    server: Child,
    behind: String,
    door: Door,
}

impl S3 {
    /// One with an empty bucket; none, and said so, where it is not installed.
    pub(crate) fn start() -> Option<Self> {
        let program = croft_nats_testing::program().with_file_name("moto_server");
        if !program.exists() {
            skip(&format!(
                "there is no {}: run scripts/setup",
                program.display()
            ));
            return None;
        }
        let mut server = Command::new(program)
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        // A server that cannot start ends, and with it its lines.
        let behind = loop {
            let line = lines.next().expect("the server says where it is").unwrap();
            if let Some((_, address)) = line.split_once("Running on http://") {
                break address.trim().to_owned();
            }
        };
        // Each request is a line; a full pipe would stop the server.
        thread("moto", move || lines.for_each(drop));
        let door = Door::open(behind.parse().unwrap());
        let s3 = Self {
            server,
            behind,
            door,
        };
        let made = http::ask(&s3.behind, "PUT", &format!("/{BUCKET}"), &[], b"").unwrap();
        assert_eq!(made.status, 200, "{made:?}");
        Some(s3)
    }

    /// As `--store` takes it.
    pub(crate) fn place(&self) -> String {
        let at = self.door.at;
        format!("s3://{BUCKET}/farm?endpoint=http://{at}&region=here&allow_http=true")
    }

    /// Variables of whoever uses it.
    pub(crate) fn keys() -> [(&'static str, &'static str); 2] {
        [
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "word"),
        ]
    }

    /// From now on nobody reaches it.
    pub(crate) fn shut(&mut self) {
        self.door.shut();
    }

    /// It is there again, with all that it had.
    pub(crate) fn reopen(&mut self) {
        self.door.reopen();
    }

    /// Each object's name and bytes.
    pub(crate) fn objects(&self) -> Vec<(String, Vec<u8>)> {
        let list = http::ask(
            &self.behind,
            "GET",
            &format!("/{BUCKET}?list-type=2&max-keys=1000"),
            &SIGNED,
            b"",
        )
        .unwrap();
        let text = list.text();
        assert!(
            !text.contains("<IsTruncated>true"),
            "more objects than one page has"
        );
        let keys = text
            .split("<Key>")
            .skip(1)
            .filter_map(|rest| rest.split_once("</Key>"));
        keys.map(|(key, _)| {
            let object = http::ask(
                &self.behind,
                "GET",
                &format!("/{BUCKET}/{key}"),
                &SIGNED,
                b"",
            )
            .unwrap();
            assert_eq!(object.status, 200, "{key}");
            (key.to_string(), object.body)
        })
        .collect()
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.door.shut();
        self.server.kill().unwrap_or_default();
        self.server.wait().map(drop).unwrap_or_default();
    }
}

/// Listens where clients come, and hands them on to where the server is.
#[derive(Debug)]
struct Door {
    at: SocketAddr,
    behind: SocketAddr,
    open: Option<Open>,
}

/// What lives while it is open.
#[derive(Debug)]
struct Open {
    listener: TcpListener,
    sockets: Arc<Mutex<Vec<TcpStream>>>,
    accepting: JoinHandle<()>,
}

impl Door {
    fn open(behind: SocketAddr) -> Self {
        // An address that is this process's own, so that nobody takes the port while it is shut.
        let host: Ipv4Addr = croft_nats_testing::host();
        let listener = TcpListener::bind((host, 0)).unwrap();
        let at = listener.local_addr().unwrap();
        let mut door = Self {
            at,
            behind,
            open: None,
        };
        door.serve(listener);
        door
    }

    fn serve(&mut self, listener: TcpListener) {
        let sockets = Arc::new(Mutex::new(Vec::new()));
        let (accepts, behind, known) = (
            listener.try_clone().unwrap(),
            self.behind,
            Arc::clone(&sockets),
        );
        let accepting = thread("door", move || {
            for client in accepts.incoming().map_while(Result::ok) {
                if let Ok(server) = TcpStream::connect(behind) {
                    hand_on(client, server, &known);
                }
            }
        });
        self.open = Some(Open {
            listener,
            sockets,
            accepting,
        });
    }

    fn shut(&mut self) {
        let Some(open) = self.open.take() else { return };
        // A listener that is shut down accepts nobody any more, also in the thread that waits there.
        rustix::net::shutdown(&open.listener, rustix::net::Shutdown::Both).unwrap_or_default();
        open.accepting.join().unwrap();
        drop(open.listener);
        for socket in open.sockets.lock().unwrap().drain(..) {
            socket.shutdown(Shutdown::Both).unwrap_or_default();
        }
    }

    fn reopen(&mut self) {
        let listener = TcpListener::bind(self.at).unwrap();
        self.serve(listener);
    }
}

fn hand_on(client: TcpStream, server: TcpStream, known: &Mutex<Vec<TcpStream>>) {
    let clone = |socket: &TcpStream| socket.try_clone().unwrap();
    known
        .lock()
        .unwrap()
        .extend([clone(&client), clone(&server)]);
    for (from, to) in [(clone(&client), clone(&server)), (server, client)] {
        thread("handing on", move || copy(from, to));
    }
}

/// Until one of them is shut.
fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut bytes = vec![0; COPY_BYTES];
    while let Ok(count) = from.read(&mut bytes) {
        if count == 0 || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Write).unwrap_or_default();
}
