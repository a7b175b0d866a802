//! Which server is asked, and as whom. Received: the words, the environment, the `[farm]` table of `croft.toml` and what
//! `croft up` left on this machine. Handed to `call` as one checked value that says where each part came from.
//!
//! A token is only sent to the server it was meant for: what a file holds goes to the server that the same file names.

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;

use crate::config::FarmTable;
use crate::exit::Wrong;
use crate::farm::words::Connect;
use crate::files::parse_span_ms;

/// How long a server that does not answer is asked again, unless somebody says otherwise: long enough for one that starts
/// again, short enough for who waits.
const RETRY: Duration = Duration::from_secs(30);

/// What `croft up` writes into its home, for itself alone to read.
pub(crate) const UP_FILE: &str = "up.json";

/// What `croft up` left in `up.json`.
#[derive(Debug, Deserialize)]
pub(crate) struct Up {
    pub(crate) server: String,
    pub(crate) token: String,
}

/// A server, and who we are to it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Without a path of its own in most farms; it ends with a slash.
    pub(crate) server: Url,
    /// Where the address is from, for people.
    pub(crate) server_from: String,
    pub(crate) token: Option<String>,
    /// Where the token is from, for people.
    pub(crate) token_from: String,
    /// PEM, in place of the machine's own certificates.
    pub(crate) certificates: Option<Vec<u8>>,
    /// How long a server that does not answer is asked again.
    pub(crate) retry: Duration,
}

/// Everything a connection is made from, as it was found.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    pub(crate) words: &'a Connect,
    /// `CROFT_SERVER`, to tell where the address in the words is from.
    pub(crate) server_variable: Option<String>,
    /// `CROFT_TOKEN`.
    pub(crate) token_variable: Option<String>,
    pub(crate) table: FarmTable,
    /// `up.json` of the home, with its path.
    pub(crate) up: Option<(Up, String)>,
}

impl Up {
    /// What is in the home, if something is.
    ///
    /// # Errors
    /// When it is there and cannot be read.
    pub(crate) fn read(home: &Path) -> Result<Option<(Self, String)>, Wrong> {
        let path = home.join(UP_FILE);
        let shown = path.display().to_string();
        let wrong = |reason: String| Wrong(format!("{shown}: {reason}: start `croft up` again"));
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if is_absent(&error) => return Ok(None),
            Err(error) => return Err(wrong(error.to_string())),
        };
        let up = serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        Ok(Some((up, shown)))
    }
}

/// Somebody else's home is none of ours.
fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
}

impl Connection {
    /// The connection of a machine that knows its server, and has no token.
    ///
    /// # Errors
    /// When that is no address.
    pub(crate) fn to(server: &str) -> Result<Self, Wrong> {
        let url = Url::parse(server)
            .map_err(|error| Wrong(format!("`{server}` is no server's address: {error}")))?;
        Ok(Self {
            server: url,
            server_from: "where this host enrolled".into(),
            token: None,
            token_from: String::new(),
            certificates: None,
            retry: RETRY,
        })
    }

    /// The connection: flags before the environment, that before `croft.toml`, and that before `up.json`.
    ///
    /// # Errors
    /// When there is no server, or something named cannot be used, or the token would travel in clear.
    pub(crate) fn of(found: &Found<'_>) -> Result<Self, Wrong> {
        let (server, server_from) = server(found)?;
        let (token, token_from) = token(found, &server)?;
        let insecure = found.words.insecure_http || found.table.insecure_http;
        if token.is_some() && server.scheme() == "http" && !is_loopback(&server) && !insecure {
            return Err(Wrong(format!(
                "{server} ({server_from}) is plain HTTP to another machine: everybody on the way could read the token. \
                 Use https://, or --insecure-http where the network is your own"
            )));
        }
        let ca_file = found
            .words
            .ca_file
            .clone()
            .or_else(|| found.table.ca_file.clone());
        let certificates = ca_file.map(|path| read("--ca-file", &path));
        let certificates = certificates.transpose()?;
        let retry = found
            .words
            .retry
            .as_deref()
            .or(found.table.retry.as_deref());
        let retry = match retry.map(parse_span_ms) {
            Some(Ok(millis)) => Duration::from_millis(millis),
            Some(Err(reason)) => return Err(Wrong(format!("--retry: {reason}"))),
            None => RETRY,
        };
        Ok(Self {
            server,
            server_from,
            token,
            token_from,
            certificates,
            retry,
        })
    }

    /// True when nothing can be read on the way.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.server)
    }
}

fn server(found: &Found<'_>) -> Result<(Url, String), Wrong> {
    let named = found.words.server.as_deref();
    let from_words = named.map(|text| match &found.server_variable {
        Some(variable) if variable == text => (text, "from CROFT_SERVER".to_string()),
        _ => (text, "from --server".to_string()),
    });
    let table = &found.table;
    let from_table = table
        .server
        .as_ref()
        .map(|(text, path)| (text.as_str(), format!("from {}", path.display())));
    let up = found.up.as_ref();
    let from_up = up.map(|(up, path)| (up.server.as_str(), format!("from {path}")));
    let Some((text, from)) = from_words.or(from_table).or(from_up) else {
        return Err(Wrong(
            "there is no farm to ask: start one on this machine with `croft up`, or name one with --server, CROFT_SERVER, \
             or `server` in the [farm] table of croft.toml"
                .into(),
        ));
    };
    Ok((parse_server(text, &from)?, from))
}

fn parse_server(text: &str, from: &str) -> Result<Url, Wrong> {
    let wrong = |reason: &str| Wrong(format!("the server {text:?} ({from}): {reason}"));
    let example = "write an address such as https://croft.example:9470";
    let mut url: Url = match text.parse() {
        Ok(url) => url,
        Err(_) => return Err(wrong(example)),
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong(example));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong(
            "an address holds no token: give it by CROFT_TOKEN or --token-file",
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(example));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn token(found: &Found<'_>, server: &Url) -> Result<(Option<String>, String), Wrong> {
    let variable = found.token_variable.as_deref().map(str::trim);
    let from_variable = variable.filter(|token| !token.is_empty());
    if let Some(path) = &found.words.token_file {
        let token = read("--token-file", path)?;
        let token = String::from_utf8_lossy(&token).trim().to_string();
        if token.is_empty() {
            return Err(Wrong(format!(
                "{}: there is no token in it",
                path.display()
            )));
        }
        return Ok((Some(token), path.display().to_string()));
    }
    if let Some(token) = from_variable {
        return Ok((Some(token.to_string()), "CROFT_TOKEN".into()));
    }
    let is_server = |text: &str| parse_server(text, "").is_ok_and(|url| url == *server);
    let table = &found.table;
    let meant = |(named, _): &(String, _)| is_server(named);
    if let Some((token, path)) = &table.token
        && table.server.as_ref().is_none_or(meant)
    {
        return Ok((Some(token.clone()), path.display().to_string()));
    }
    if let Some(path) = &table.token_file
        && table.server.as_ref().is_none_or(meant)
    {
        let token = read("token-file in croft.toml", path)?;
        let token = String::from_utf8_lossy(&token).trim().to_string();
        return Ok((Some(token), path.display().to_string()));
    }
    match &found.up {
        Some((up, path)) if is_server(&up.server) => Ok((Some(up.token.clone()), path.clone())),
        _ => Ok((None, "none was given".into())),
    }
}

fn read(named_by: &str, path: &Path) -> Result<Vec<u8>, Wrong> {
    let refused = |error: std::io::Error| {
        Wrong(format!(
            "{named_by} {}: {}",
            path.display(),
            crate::files::why(&error)
        ))
    };
    std::fs::read(path).map_err(refused)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        words: Connect,
    }

    fn words(line: &str) -> Connect {
        let line = std::iter::once("croft").chain(line.split_whitespace());
        Line::try_parse_from(line).unwrap().words
    }

    fn of(line: &str, table: &str, up: Option<&str>) -> Result<Connection, Wrong> {
        let words = words(line);
        let table = FarmTable::parse(table, Path::new("croft.toml")).unwrap();
        let up = up.map(|server| {
            let token = "croft_up".to_string();
            let server = server.to_string();
            (Up { server, token }, "/h/up.json".to_string())
        });
        Connection::of(&Found {
            words: &words,
            server_variable: None,
            token_variable: None,
            table,
            up,
        })
    }

    #[test]
    fn on_one_machine_nothing_needs_to_be_said() {
        let found = of("", "", Some("http://127.0.0.1:8123")).unwrap();
        assert_eq!(found.server.as_str(), "http://127.0.0.1:8123/");
        assert_eq!(found.token.as_deref(), Some("croft_up"));
        assert_eq!(found.server_from, "from /h/up.json");
        let said = of("", "", None).unwrap_err().to_string();
        assert!(
            said.contains("croft up") && said.contains("--server"),
            "{said}"
        );
    }

    #[test]
    fn a_token_goes_to_no_other_server_than_its_own() {
        let table = "server = \"https://a.example\"\ntoken = \"croft_a\"";
        let up = Some("http://127.0.0.1:1");
        for (line, token) in [
            ("", Some("croft_a")),
            ("--server https://a.example/", Some("croft_a")),
            ("--server https://b.example", None),
            ("--server http://127.0.0.1:1", Some("croft_up")),
            ("--server http://127.0.0.1:2", None),
        ] {
            assert_eq!(
                of(line, table, up).unwrap().token.as_deref(),
                token,
                "{line}"
            );
        }
    }

    #[test]
    fn a_token_never_travels_in_clear_but_on_this_machine_or_when_told() {
        let table = "token = \"croft_a\"";
        for (server, is_fine) in [
            ("http://farm.example", false),
            ("http://10.0.0.1:9470", false),
            ("http://127.0.0.1.example", false),
            ("http://localhost:1", true),
            ("http://127.8.0.1:1", true),
            ("http://[::1]:1", true),
            ("https://farm.example", true),
        ] {
            let found = of(&format!("--server {server}"), table, None);
            assert_eq!(found.is_ok(), is_fine, "{server}: {found:?}");
            of(&format!("--server {server} --insecure-http"), table, None).unwrap();
        }
    }

    #[test]
    fn addresses_that_are_none_are_refused_with_where_they_are_from() {
        for server in [
            "farm.example",
            "ftp://farm.example",
            "https://me:pw@farm.example",
            "https://farm.example/?x",
            "/etc",
        ] {
            let said = of(&format!("--server {server}"), "", None)
                .unwrap_err()
                .to_string();
            assert!(said.contains("from --server"), "{said}");
        }
    }

    #[test]
    fn a_server_below_a_path_keeps_it() {
        let found = of("--server https://a.example/croft", "", None).unwrap();
        assert_eq!(
            found.server.join("v1/builds").unwrap().as_str(),
            "https://a.example/croft/v1/builds"
        );
    }
}
