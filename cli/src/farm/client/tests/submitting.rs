use std::path::Path;
use std::sync::Mutex;

use clap::Parser;
use croft_cache::{Adoption, Offer, Put, ReceiveLimits, Store, TreeRef, encode_ids};
use serde_json::{Value, json};

use super::super::submit::{find_project, make_project, start, start_build};
use super::super::upload::{Purpose, upload};
use super::stub::{Reply, Stub};
use crate::args::{Cli, Command};
use crate::farm::words::SubmitWords;
use crate::surroundings::now;

const LIMITS: ReceiveLimits = ReceiveLimits {
    bytes_max: 1 << 30,
    chunks_max: 1 << 20,
};

fn store(folder: &Path) -> Store {
    Store::open(folder, 1 << 30).unwrap()
}

fn put(store: &Store, source: &Path) -> TreeRef {
    let put = Put {
        directory: source,
        now: now(),
    };
    store.put(&put).unwrap().tree
}

/// What a server does with a source.
fn take_in(store: &Store, path: &str, body: &[u8]) -> Reply {
    match path {
        "/v1/sources/wanting" => {
            let ids = Offer::decode(body).unwrap().ids();
            Reply::Bytes(200, encode_ids(&store.wanting(&ids).unwrap()))
        }
        "/v1/sources/chunks" => {
            let mut body = body;
            store.receive(&mut body, &LIMITS, &now).unwrap();
            Reply::Json(200, json!({}))
        }
        "/v1/sources/trees" => match store.adopt(&Offer::decode(body).unwrap(), now()).unwrap() {
            Adoption::Visible { tree, .. } => {
                Reply::Json(201, json!({"tree": tree.id.to_string()}))
            }
            Adoption::Missing(ids) => Reply::Bytes(409, encode_ids(&ids)),
        },
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_the_server_lacks_travels() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    // Several batches of what does not compress.
    let large: Vec<u8> = (0_u64..1_500_000)
        .flat_map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_be_bytes())
        .collect();
    std::fs::write(source.join("large"), &large).unwrap();
    std::fs::write(source.join("buildspec.yml"), "version: 0.2\n").unwrap();
    let here = store(&folder.path().join("here"));
    let there = store(&folder.path().join("there"));
    let taking = there.clone();
    let stub = Stub::start(move |asked, _| take_in(&taking, &asked.path, &asked.body)).await;
    let farm = stub.farm();

    let tree = put(&here, &source);
    let first = upload(&farm, &here, &tree, Purpose::Source).await.unwrap();
    assert!(
        first.chunks > 2 && first.tree_bytes >= large.len() as u64,
        "{first:?}"
    );
    let found = there.tree(&tree.id, now()).unwrap().unwrap();
    let copy = folder.path().join("copy");
    there.get(&found, &copy).unwrap();
    assert_eq!(std::fs::read(copy.join("large")).unwrap(), large);

    let again = upload(&farm, &here, &tree, Purpose::Source).await.unwrap();
    assert_eq!((again.chunks, again.bytes), (0, 0));

    std::fs::write(source.join("buildspec.yml"), "version: 0.2\nphases: {}\n").unwrap();
    let changed = put(&here, &source);
    let second = upload(&farm, &here, &changed, Purpose::Source)
        .await
        .unwrap();
    assert!(second.bytes < 64 * 1024 && second.chunks > 0, "{second:?}");
    stub.stop().await;
}

#[tokio::test]
async fn a_server_that_loses_what_it_gets_is_not_sent_to_for_ever() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("file"), "x").unwrap();
    let here = store(&folder.path().join("here"));
    let stub = Stub::start(|asked, _| match asked.path.as_str() {
        "/v1/sources/wanting" => {
            Reply::Bytes(200, encode_ids(&Offer::decode(&asked.body).unwrap().ids()))
        }
        "/v1/sources/trees" => Reply::Bytes(409, Vec::new()),
        _ => Reply::Json(200, json!({})),
    })
    .await;
    let tree = put(&here, &source);
    let said = upload(&stub.farm(), &here, &tree, Purpose::Source)
        .await
        .unwrap_err()
        .to_string();
    assert!(said.contains("goes on to lack"), "{said}");
    stub.stop().await;
}

fn words(line: &str) -> SubmitWords {
    let line = format!("croft submit {line}");
    let Command::Submit(words) = Cli::try_parse_from(line.split_whitespace())
        .unwrap()
        .command
    else {
        panic!("submit")
    };
    *words
}

fn some_tree(folder: &Path) -> TreeRef {
    let source = folder.join("s");
    std::fs::create_dir(&source).unwrap();
    put(&store(&folder.join("c")), &source)
}

#[tokio::test]
async fn a_start_that_is_repeated_has_the_same_token_and_all_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let tree = some_tree(folder.path());
    let spec = folder.path().join("other.yml");
    std::fs::write(&spec, "version: 0.2\n").unwrap();
    let file = folder.path().join("vars");
    std::fs::write(&file, "A=1\nB=2\n").unwrap();
    let source = folder.path().join("s");
    let words = words(&format!(
        "-b {} -e {} --env B=3 --image debian --priority 4 {}",
        spec.display(),
        file.display(),
        source.display()
    ));
    let stub = Stub::start(|_, before| match before {
        0 => Reply::HangUp,
        1 => Reply::Bytes(503, Vec::new()),
        _ => Reply::Json(201, json!({"build": {"id": "web:1"}})),
    })
    .await;
    let asked_for = start(&words, &source).unwrap();
    let build = start_build(&stub.farm(), asked_for, "web", Some(&tree))
        .await
        .unwrap();
    assert_eq!(build["id"], "web:1");
    let asked = stub.asked();
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|one| one.body == asked[0].body));
    let body: Value = serde_json::from_slice(&asked[0].body).unwrap();
    let token = body["idempotencyToken"].as_str().unwrap();
    assert!(
        asked
            .iter()
            .all(|one| one.header("idempotency-key") == Some(token))
    );
    let plain =
        |name: &str, value: &str| json!({"name": name, "value": value, "type": "PLAINTEXT"});
    assert_eq!(
        body["environmentVariablesOverride"],
        json!([plain("A", "1"), plain("B", "2"), plain("B", "3")])
    );
    assert_eq!(body["buildspecOverride"], "version: 0.2\n");
    assert_eq!(body["imageOverride"], "debian");
    assert_eq!(
        body["x-croft"],
        json!({"tree": tree.id.to_string(), "priority": 4})
    );
    assert_eq!(body["projectName"], "web");
    stub.stop().await;
}

#[tokio::test]
async fn a_project_is_made_where_there_is_none_but_not_one_that_was_named() {
    static THERE: Mutex<bool> = Mutex::new(false);
    let stub = Stub::start(|asked, _| {
        let mut there = THERE.lock().unwrap();
        match (asked.method.as_str(), *there) {
            ("GET", false) => Reply::Json(404, json!({"code": "ResourceNotFoundException"})),
            ("GET", true) => Reply::Json(200, json!({"name": "my-app"})),
            _ => {
                *there = true;
                Reply::Json(201, json!({"project": {}, "notes": []}))
            }
        }
    })
    .await;
    let farm = stub.farm();
    let source = Path::new("/srv/my.app");
    let named = find_project(&farm, &words("--project other"), source).await;
    let said = named.unwrap_err().to_string();
    assert!(
        said.contains("there is no project other") && said.contains("apply"),
        "{said}"
    );
    for is_there in [false, true] {
        let (name, there) = find_project(&farm, &words(""), source).await.unwrap();
        assert_eq!((name.as_str(), there.is_some()), ("my-app", is_there));
        if !is_there {
            make_project(&farm, &words(""), &name).await.unwrap();
        }
    }
    let asked = stub.asked();
    let puts: Vec<_> = asked.iter().filter(|asked| asked.method == "PUT").collect();
    assert_eq!(puts.len(), 1);
    let project: croft_proto::farm::Project = serde_json::from_slice(&puts[0].body).unwrap();
    assert_eq!(project.environment.image, "sandbox");
    project.rules().unwrap();
    stub.stop().await;
}

#[tokio::test]
async fn a_project_with_a_source_of_its_own_is_started_from_that() {
    let stub = Stub::start(|asked, _| match asked.path.as_str() {
        "/v1/projects/bare" => Reply::Json(200, json!({"source": {"type": "NO_SOURCE"}})),
        "/v1/projects/site" => Reply::Json(200, json!({"source": {"type": "GITHUB"}})),
        _ => Reply::Json(201, json!({"build": {"id": "site:1"}})),
    })
    .await;
    let farm = stub.farm();
    let started = async |line: &str| {
        let line = format!("croft build start {line} --detach");
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Build(words) = cli.command else {
            panic!("build")
        };
        super::super::build::act(&farm, &words.command).await
    };
    let refused = started("bare").await.unwrap_err().to_string();
    assert!(
        refused.contains("croft submit --project bare DIR"),
        "{refused}"
    );
    started("site --source-version v1 --env A=1").await.unwrap();
    let asked = stub.asked();
    let starts: Vec<_> = asked
        .iter()
        .filter(|asked| asked.method == "POST")
        .collect();
    assert_eq!(starts.len(), 1);
    let body: Value = serde_json::from_slice(&starts[0].body).unwrap();
    assert_eq!(
        (&body["projectName"], &body["sourceVersion"]),
        (&json!("site"), &json!("v1"))
    );
    assert_eq!(body["environmentVariablesOverride"][0]["name"], "A");
    assert_eq!(body["x-croft"]["tree"], Value::Null);
    stub.stop().await;
}
