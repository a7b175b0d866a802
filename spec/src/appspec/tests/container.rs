//! `x-croft.container`: what each key means, and every mistake with what it points at.

use super::{around, found, good, only, pointed};
use crate::appspec::{Ask, ContainerImage, parse};

const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn container(lines: &str) -> String {
    let lines = lines.replace('\n', "\n    ");
    around(&format!(
        "x-croft:\n  container:\n    {lines}\nhooks:\n  AfterInstall:\n    - location: a.sh"
    ))
}

#[test]
fn every_key_of_a_container_is_read() {
    let lines = "image: ./images/shop.tar\nport: 8080\ncommand: [serve, --all]\nenvironment: {A: b, N: 1, E: }\nuser: web\n\
                 volumes: ['/srv/shop:/data:ro']\nmemoryMiB: 64\nstopSeconds: 3\n\
                 healthCheck: {path: '/up?x=1', intervalSeconds: 2, timeoutSeconds: 3, healthyCount: 4, withinSeconds: 50}";
    let spec = good(&container(lines));
    assert_eq!(spec.hooks.len(), 1);
    let read = spec.container.unwrap();
    assert_eq!(read.image, ContainerImage::File("images/shop.tar".into()));
    assert_eq!(
        (read.port, read.memory_mib, read.stop_s),
        (8080, Some(64), 3)
    );
    assert_eq!(read.command, ["serve", "--all"]);
    let environment: Vec<_> = read
        .environment
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(environment, ["A=b", "E=", "N=1"]);
    assert_eq!(read.user.as_deref(), Some("web"));
    assert_eq!(read.volumes, ["/srv/shop:/data:ro"]);
    let check = read.health_check.unwrap();
    assert_eq!(check.ask, Ask::Http("/up?x=1".into()));
    assert_eq!(
        (
            check.interval_s,
            check.timeout_s,
            check.healthy_count,
            check.within_s
        ),
        (2, 3, 4, 50)
    );
}

#[test]
fn what_is_not_said_of_a_container_is_the_usual() {
    let lines = format!(
        "image: registry.example:5000/shop@sha256:{DIGEST}\nport: 80\nhealthCheck: {{command: /check}}"
    );
    let read = good(&container(&lines)).container.unwrap();
    assert!(matches!(&read.image, ContainerImage::Reference(name) if name.ends_with(DIGEST)));
    assert_eq!((read.stop_s, read.memory_mib), (10, None));
    let check = read.health_check.unwrap();
    assert_eq!(check.ask, Ask::Command(vec!["/check".into()]));
    assert_eq!(
        (
            check.interval_s,
            check.timeout_s,
            check.healthy_count,
            check.within_s
        ),
        (1, 2, 2, 60)
    );
    assert!(good(&around("files: []")).container.is_none());
}

#[rustfmt::skip]
const MISTAKES: &[(&str, &str, &str, &str)] = &[
    ("port: 80", "missing-key", "container", "docker save"),
    ("image: a.tar", "missing-key", "container", "port: 8080"),
    ("image: shop:1.2\nport: 80", "bad-container", "shop:1.2", "with its digest"),
    ("image: shop@sha256:12\nport: 80", "bad-container", "shop@sha256:12", "64 hexadecimal"),
    ("image: ../shop.tar\nport: 80", "climbing-path", "../shop.tar", "docker save"),
    ("image: /\nport: 80", "climbing-path", "/", "docker save"),
    ("image: a.tar\nport: 0", "bad-container", "0", ""),
    ("image: a.tar\nport: 70000", "bad-container", "70000", ""),
    ("image: a.tar\nport: http", "bad-container", "http", ""),
    ("image: a.tar\nport: 80\nimge: x", "unknown-key", "imge", "did you mean `image`?"),
    ("image: a.tar\nport: 80\nprivileged: yes", "unknown-key", "privileged", "the keys are"),
    ("image: a.tar\nport: 80\nenvironment: {'A=B': x}", "bad-variable-name", "'A=B'", "letters"),
    ("image: a.tar\nport: 80\nenvironment: {A: [b]}", "wrong-type", "[b]", "quote"),
    ("image: a.tar\nport: 80\nvolumes: ['/srv']", "bad-container", "'/srv'", "/srv/shop:/data"),
    ("image: a.tar\nport: 80\nvolumes: ['data:/data']", "bad-container", "'data:/data'", "root on"),
    ("image: a.tar\nport: 80\nvolumes: ['/srv/../etc:/data']", "bad-container", "'/srv/../etc:/data'", "root on"),
    ("image: a.tar\nport: 80\nvolumes: ['/srv:/data:z']", "bad-container", "'/srv:/data:z'", "`:ro`"),
    ("image: a.tar\nport: 80\nuser: 'a b'", "bad-account", "'a b'", "user's name"),
    ("image: a.tar\nport: 80\nmemoryMiB: 1", "bad-container", "1", ""),
    ("image: a.tar\nport: 80\nstopSeconds: -1", "bad-container", "-1", ""),
    ("image: a.tar\nport: 80\nhealthCheck: {path: /x, intervalSecond: 3}", "unknown-key", "intervalSecond", "did you mean `intervalSeconds`?"),
    ("image: a.tar\nport: 80\nhealthCheck: {timeoutSeconds: 3}", "missing-key", "healthCheck", "path: /healthz"),
    ("image: a.tar\nport: 80\nhealthCheck: {path: /x, command: [y]}", "bad-container", "path", "keep one"),
    ("image: a.tar\nport: 80\nhealthCheck: {path: x}", "bad-container", "x", "from the root on"),
    ("image: a.tar\nport: 80\nhealthCheck: {path: '/x HTTP/1.0'}", "bad-container", "'/x HTTP/1.0'", "from the root on"),
    ("image: a.tar\nport: 80\nhealthCheck: {command: []}", "missing-key", "command", "words"),
    ("image: a.tar\nport: 80\nhealthCheck: {path: /x, healthyCount: 9, withinSeconds: 5}", "bad-container", "healthCheck", "raise"),
];

#[test]
fn mistakes_of_containers_are_named_where_they_stand() {
    for (lines, code, at, help) in MISTAKES {
        let text = container(lines);
        let parsed = parse("appspec.yml", text.as_bytes());
        let errors = parsed
            .diagnostics
            .into_iter()
            .filter(super::is_error)
            .collect();
        let found = only(&text, errors);
        assert_eq!(
            (found.code.as_str(), pointed(&text, &found)),
            (*code, *at),
            "{text}"
        );
        let given = found.help.unwrap_or_default();
        assert!(given.contains(help), "{text}\n{given}");
        assert!(parsed.spec.is_none());
    }
}

#[test]
fn a_container_has_no_files_beside_it_and_nothing_else_is_ours() {
    let both = around(
        "files:\n  - source: /\n    destination: /srv\nx-croft:\n  container: {image: a.tar, port: 80, healthCheck: {path: /}}",
    );
    assert_eq!(
        found(&both),
        [("misplaced-key".to_owned(), "files".to_owned())]
    );
    let other = around("files: []\nx-croft: {contaner: {}}");
    assert_eq!(
        only(&other, parse("appspec.yml", other.as_bytes()).diagnostics).code,
        "unknown-key"
    );
    let windows = "version: 0.0\nos: windows\nx-croft: {container: {image: a.tar, port: 80}}\n";
    let found = only(
        windows,
        parse("appspec.yml", windows.as_bytes()).diagnostics,
    );
    assert_eq!(found.code, "bad-container");
}

#[test]
fn a_container_that_nobody_asks_is_warned_of_and_alone_it_is_no_empty_deployment() {
    let asked = around("x-croft:\n  container: {image: a.tar, port: 80, healthCheck: {path: /}}");
    assert_eq!(found(&asked), []);
    let unasked = around("x-croft:\n  container: {image: a.tar, port: 80}");
    assert_eq!(
        found(&unasked),
        [("no-health-check".to_owned(), "container".to_owned())]
    );
}
