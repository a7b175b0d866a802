//! `croft cache serve`: the cache for other tools over HTTP. Words become a gate, limits and an address; the service runs
//! until a signal, drains, and its figures are printed.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use croft_api::caching::{
    Bazel, Ccache, Gate, Limits, Mount, OpenGate, Options, Service, StorePool, Summary, TokenGate,
};
use croft_cache::Store;
use croft_keys::{ScopeName, Tokens};
use tokio::net::TcpListener;

use crate::exit::{Exit, Wrong};
use crate::files::parse_size;
use crate::output;
use crate::render::{count, size};
use crate::signals::Signals;

/// After the service has ended, for threads that still wait for the storage.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Accepting and answering take little; what takes long has threads of its own.
const THREADS_MIN: usize = 2;

#[derive(Debug, Args)]
pub(crate) struct ServeWords {
    /// Where to listen; port 0 takes a free one
    #[arg(
        long,
        env = "CROFT_LISTEN",
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:9092"
    )]
    listen: SocketAddr,
    /// The file of tokens: their hashes, roles and scopes
    #[arg(
        long,
        env = "CROFT_TOKENS",
        value_name = "FILE",
        required_unless_present = "no_auth",
        conflicts_with = "no_auth"
    )]
    tokens: Option<PathBuf>,
    /// Let everybody on this machine read and write; only with a loopback address
    #[arg(long)]
    no_auth: bool,
    /// Memory for blobs that are asked for often; 0 for none
    #[arg(
        long,
        env = "CROFT_HOT_BYTES",
        value_name = "SIZE",
        default_value = "64m"
    )]
    hot_bytes: String,
    /// The largest entry that is taken
    #[arg(
        long,
        env = "CROFT_BODY_BYTES_MAX",
        value_name = "SIZE",
        default_value = "2g"
    )]
    body_bytes_max: String,
    /// The path below which Bazel's protocol is spoken
    #[arg(long, env = "CROFT_BAZEL_AT", value_name = "PATH", default_value = "/")]
    bazel_at: String,
    /// The path below which ccache's protocol is spoken
    #[arg(
        long,
        env = "CROFT_CCACHE_AT",
        value_name = "PATH",
        default_value = "/ccache/"
    )]
    ccache_at: String,
}

/// Serves the store; the caller has made it sign for every scope.
pub(crate) fn serve(store: Store, words: &ServeWords) -> anyhow::Result<Exit> {
    let limits = limits(words)?;
    let options = Options {
        gate: gate(words)?,
        mounts: mounts(words)?,
        pool: Arc::new(StorePool::open(store, limits.body_bytes_max)?),
        limits,
    };
    let threads = std::thread::available_parallelism().map_or(THREADS_MIN, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads.max(THREADS_MIN))
        .thread_name("serve")
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    let summary = runtime.block_on(run(words.listen, options));
    runtime.shutdown_timeout(AT_ONCE);
    output::text(&figures(&summary?))?;
    Ok(Exit::Succeeded)
}

/// Listens, says where, and serves until a first signal asks it to end and a second one to do so at once.
async fn run(listen: SocketAddr, options: Options) -> anyhow::Result<Summary> {
    let mut signals = Signals::new().context("cannot wait for signals")?;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}; name another address and port with --listen")
    })?;
    let address = listener.local_addr().context("cannot tell the address")?;
    output::text(&format!("listening on http://{address}\n"))?;
    let (first, second) = tokio::sync::oneshot::channel();
    let drain = async move {
        signals.next().await;
        // Handed on to whoever waits for the second one.
        if first.send(signals).is_err() {
            tracing::debug!("the service has ended already");
        }
    };
    let cut = async move {
        match second.await {
            Ok(mut signals) => signals.next().await,
            Err(_) => std::future::pending().await,
        }
    };
    Ok(Service::new(options).run(listener, drain, cut).await)
}

fn gate(words: &ServeWords) -> anyhow::Result<Arc<dyn Gate>> {
    let Some(path) = &words.tokens else {
        let gate = OpenGate::new(words.listen, ScopeName::trusted().as_str());
        let gate = gate.map_err(|error| {
            Wrong(format!(
                "--no-auth: {error}: listen on 127.0.0.1, or give --tokens FILE"
            ))
        })?;
        return Ok(Arc::new(gate));
    };
    Ok(Arc::new(TokenGate::new(tokens(path)?)))
}

fn tokens(path: &Path) -> Result<Tokens, Wrong> {
    let wrong = |reason: String| Wrong(format!("--tokens {}: {reason}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let tokens = Tokens::parse(&text).map_err(|errors| wrong(errors.to_string()))?;
    if tokens == Tokens::default() {
        return Err(wrong(
            "there is no token in it, so nobody could come in".into(),
        ));
    }
    Ok(tokens)
}

fn mounts(words: &ServeWords) -> Result<Vec<Mount>, Wrong> {
    if words.bazel_at.trim_matches('/') == words.ccache_at.trim_matches('/') {
        return Err(Wrong(format!(
            "--bazel-at and --ccache-at are both {}: give each a path of its own",
            words.bazel_at
        )));
    }
    Ok(vec![
        Mount::new(&words.bazel_at, Arc::new(Bazel)),
        Mount::new(&words.ccache_at, Arc::new(Ccache)),
    ])
}

fn limits(words: &ServeWords) -> Result<Limits, Wrong> {
    let parse = |flag: &str, text: &str| {
        parse_size(text).map_err(|reason| Wrong(format!("--{flag}: {reason}")))
    };
    let hot_bytes = parse("hot-bytes", &words.hot_bytes)?;
    Ok(Limits {
        body_bytes_max: parse("body-bytes-max", &words.body_bytes_max)?,
        hot_bytes_max: usize::try_from(hot_bytes).unwrap_or(usize::MAX),
        ..Limits::default()
    })
}

/// A line for each protocol, and one for what was refused before it was known which was meant.
fn figures(summary: &Summary) -> String {
    let mut text = String::new();
    for (name, front) in &summary.fronts {
        text += &format!(
            "{name}: {} asked for, {} found ({} in memory), {} missing; {} stored; {} in, {} out; {} refused, {} failed\n",
            count(front.gets),
            count(front.hits),
            count(front.hot_hits),
            count(front.misses),
            count(front.puts),
            size(front.bytes_in),
            size(front.bytes_out),
            count(front.refused),
            count(front.failed),
        );
    }
    if summary.refused + summary.turned_away > 0 {
        text += &format!(
            "refused at the door: {} requests, {} connections\n",
            count(summary.refused),
            count(summary.turned_away)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        words: ServeWords,
    }

    fn parse(line: &str) -> Result<ServeWords, clap::Error> {
        Line::try_parse_from(line.split_whitespace()).map(|line| line.words)
    }

    #[test]
    fn either_tokens_or_nobody_asks() {
        parse("serve").unwrap_err();
        parse("serve --no-auth --tokens file").unwrap_err();
        parse("serve --tokens file").unwrap();
        gate(&parse("serve --no-auth").unwrap()).unwrap();
    }

    #[test]
    fn without_tokens_only_this_machine_is_served() {
        let words = parse("serve --no-auth --listen 0.0.0.0:9092").unwrap();
        let said = gate(&words).unwrap_err().to_string();
        assert!(said.contains("--tokens FILE"), "{said}");
    }

    #[test]
    fn a_file_without_a_token_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        for (text, word) in [("# none\n", "nobody"), ("rubbish\n", "line 1")] {
            std::fs::write(&path, text).unwrap();
            let said = tokens(&path).unwrap_err().to_string();
            assert!(said.contains(word) && said.contains("tokens"), "{said}");
        }
    }

    #[test]
    fn two_protocols_at_one_path_are_refused() {
        let words = parse("serve --no-auth --bazel-at /x --ccache-at x/").unwrap();
        mounts(&words).unwrap_err();
    }
}
