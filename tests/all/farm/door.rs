//! The API's door: who has no token, or too small a role, is turned away from every route; over TLS as well.

use serde_json::{Value, json};

use crate::harness::rig::{Rig, Role, commands, each_size, http, in_size};

each_size!(small large |plan| plan;
    every_route_asks_for_a_token_and_for_a_role,
);

in_size!(tls SMALL, |plan| plan;
    a_door_with_a_certificate_speaks_tls,
);

/// From the one that may the least.
const ROLES: [&str; 5] = ["viewer", "builder", "deployer", "admin", "worker"];

fn every_route_asks_for_a_token_and_for_a_role(rig: &mut Rig) {
    let document = rig.get("/v1/openapi.json");
    let tokens = ROLES.map(|role| {
        rig.told(&["token", "create", role, "--role", role])
            .trim()
            .to_string()
    });
    let mut asked = 0;
    for (path, verbs) in document["paths"].as_object().unwrap() {
        for (verb, operation) in verbs.as_object().unwrap() {
            let Some(role) = operation["x-croft-role"].as_str() else {
                continue;
            };
            let route = (verb.to_uppercase(), filled(path));
            assert_eq!(status(rig, &route, None), 401, "{route:?}");
            assert_eq!(
                status(rig, &route, Some("croft_00000000_nobody")),
                401,
                "{route:?}"
            );
            let too_small = too_small(role);
            for (name, token) in ROLES.iter().zip(&tokens) {
                let status = status(rig, &route, Some(token));
                assert_ne!(status, 401, "{route:?} as {name}");
                if too_small.contains(name) {
                    assert_eq!(status, 403, "{route:?} as {name}");
                    asked += 1;
                }
            }
        }
    }
    assert!(asked > 40, "{asked}");
    assert!(
        rig.told(&["audit", "--verify"])
            .contains("as it was written")
    );
}

/// Roles that are not enough for what needs this one.
fn too_small(role: &str) -> &'static [&'static str] {
    match role {
        "viewer" => &["worker"],
        "builder" => &["viewer", "deployer", "worker"],
        "deployer" => &["viewer", "builder", "worker"],
        "admin" => &["viewer", "builder", "deployer", "worker"],
        "worker" => &["viewer", "builder", "deployer"],
        other => panic!("{other}: a role that this test does not know"),
    }
}

/// A path of the document with something in place of its parameters.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{id}" => "p:00000000-0000-4000-8000-000000000000",
        part if part.starts_with('{') => "default",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn status(rig: &Rig, (verb, path): &(String, String), token: Option<&str>) -> u16 {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("Content-Type", "application/json")];
    headers.extend(bearer.as_deref().map(|bearer| ("Authorization", bearer)));
    let answer = http::ask(&rig.addresses[0], verb, path, &headers, b"{}").unwrap();
    if answer.status >= 400 {
        let problem: Value = answer.json();
        assert_eq!(
            problem["status"],
            json!(answer.status),
            "{verb} {path}: {}",
            answer.text()
        );
    }
    answer.status
}

fn a_door_with_a_certificate_speaks_tls(rig: &mut Rig) {
    let Some(authority) = croft_nats_testing::Authority::new() else {
        return;
    };
    let certificate = authority.issue("croft");
    let listen = format!("{}:0", croft_nats_testing::host());
    let words = [
        "up",
        "--listen",
        &listen,
        "--tls-cert",
        certificate.certificate.to_str().unwrap(),
        "--tls-key",
        certificate.key.to_str().unwrap(),
    ];
    let key = rig.folder().join("another.key").display().to_string();
    let mut role = Role::new(rig.folder(), "tls", &words).with("CROFT_MASTER_KEY_FILE", key);
    role.start();
    let url = role.says("listening on ");
    assert!(url.starts_with("https://"), "{url}");
    let source = rig.source("secure", &commands(&["echo safe"]));
    let submit = |more: &[&str]| {
        let mut command = rig.croft(
            &[
                &[
                    "submit",
                    source.to_str().unwrap(),
                    "-o",
                    "ndjson",
                    "--retry",
                    "0s",
                ],
                more,
            ]
            .concat(),
        );
        command
            .env_remove("CROFT_SERVER")
            .env_remove("CROFT_TOKEN")
            .env("CROFT_HOME", role.home());
        crate::harness::Ran::of(role.home(), command.output().unwrap())
    };
    let ran = submit(&["--ca-file", authority.certificate().to_str().unwrap()]);
    ran.assert_code(0);
    assert_eq!(ran.output(), "safe\n");
    // Nobody vouches for it.
    submit(&[]).assert_code(2);
}
