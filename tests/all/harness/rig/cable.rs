//! A cable between a host and its farm, that can be pulled: nothing is closed then, and nothing arrives. What was sent meanwhile arrives
//! when it is plugged in again, as with any network that sends again what was lost.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::thread;

/// How long it may take until one that was pulled carries nothing, and one that was plugged in something.
const NOTICE: Duration = Duration::from_millis(50);

/// One that leads to an address. Dropped, it carries nothing new.
pub(crate) struct Cable {
    near: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    is_pulled: AtomicBool,
    is_gone: AtomicBool,
}

impl Cable {
    /// To that address, plugged in.
    pub(crate) fn to(far: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (near, far) = (listener.local_addr().unwrap(), far.to_string());
        let state = Arc::new(State::default());
        let carried = Arc::clone(&state);
        thread("cable", move || {
            for begun in listener.incoming() {
                if carried.is_gone.load(Ordering::Relaxed) {
                    return;
                }
                let (far, state) = (far.clone(), Arc::clone(&carried));
                let Ok(near) = begun else { return };
                thread("cable", move || {
                    joined(near, &far, &state).unwrap_or_default();
                });
            }
        });
        Self { near, state }
    }

    /// Where its near end is.
    pub(crate) fn near(&self) -> String {
        self.near.to_string()
    }

    pub(crate) fn pull(&self) {
        self.state.is_pulled.store(true, Ordering::Relaxed);
        // What was on its way has arrived, or never does.
        std::thread::sleep(NOTICE * 2);
    }

    pub(crate) fn plug_in(&self) {
        self.state.is_pulled.store(false, Ordering::Relaxed);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.state.is_gone.store(true, Ordering::Relaxed);
        // So that whoever waits for the next one looks.
        TcpStream::connect(self.near).map(drop).unwrap_or_default();
    }
}

impl State {
    /// Waits for as long as nothing is carried.
    fn carries(&self) {
        while self.is_pulled.load(Ordering::Relaxed) && !self.is_gone.load(Ordering::Relaxed) {
            std::thread::sleep(NOTICE);
        }
    }
}

/// Carries one connection both ways until both have ended.
fn joined(near: TcpStream, far: &str, state: &Arc<State>) -> io::Result<()> {
    state.carries();
    let far = TcpStream::connect(far)?;
    let (near_too, far_too, state_too) = (near.try_clone()?, far.try_clone()?, Arc::clone(state));
    thread("cable", move || {
        carried(far_too, near_too, &state_too).unwrap_or_default();
    });
    carried(near, far, state)
}

fn carried(mut from: TcpStream, mut to: TcpStream, state: &State) -> io::Result<()> {
    from.set_read_timeout(Some(NOTICE))?;
    let mut some = vec![0; 64 << 10];
    loop {
        state.carries();
        match from.read(&mut some) {
            Ok(0) => break,
            Ok(read) => {
                state.carries();
                to.write_all(&some[..read])?;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                to.shutdown(Shutdown::Both)?;
                return Err(error);
            }
        }
    }
    state.carries();
    to.shutdown(Shutdown::Write)
}
