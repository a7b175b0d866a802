//! The way to a monitoring server that a word names. Made for those who ask it for alarms and for metrics.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Client, Url, redirect};

use crate::exit::Wrong;
use crate::farm::client::choose_tls;

/// Where a server is, without who may ask it and what is asked.
pub(super) fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_string(),
    }
}

/// A client that waits no longer than `answer`, and the address of `path` at the server that `flag`'s `text` names.
///
/// # Errors
/// When the address is none.
pub(super) fn way(
    flag: &str,
    text: &str,
    path: &str,
    answer: Duration,
) -> anyhow::Result<(Client, Url)> {
    let base = format!("{}/", text.trim_end_matches('/'));
    let url = Url::parse(&base)
        .and_then(|base| base.join(path))
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        .ok_or_else(|| {
            Wrong(format!(
                "{flag} {text}: write its address, such as http://127.0.0.1:9090"
            ))
        })?;
    choose_tls();
    let http = Client::builder()
        .timeout(answer)
        .redirect(redirect::Policy::none())
        .build()
        .context("cannot ask over HTTP")?;
    Ok((http, url))
}
