//! Sources on their way in; logs and artifacts on their way out.

use croft_cache::{Id, Offer, Put, Store, decode_ids};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::limits::{UPLOAD_GRACE, UPLOADS_MAX};
use super::rig::{PATIENCE, Rig};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_is_uploaded_and_built() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let here = Store::open(&rig.folder.path().join("here"), 1 << 30).unwrap();
    let source = rig.folder.path().join("source");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("buildspec.yml"), "version: 0.2\n").unwrap();
    let put = Put {
        directory: &source,
        now: rig.now(),
    };
    let tree = here.put(&put).unwrap().tree;
    let offer: Offer = here.offer(&tree).unwrap();
    let token = Some(rig.admin.as_str());
    let send = |path: &'static str, body: Vec<u8>| rig.ask("POST", path, token, &[], body);
    // Too early: what is lacking is said.
    let early = send("/v1/sources/trees", offer.encode()).await.is(409);
    assert!(!decode_ids(&early.body).unwrap().is_empty());
    let wanted = send("/v1/sources/wanting", offer.encode()).await.is(200);
    let wanted: Vec<Id> = decode_ids(&wanted.body).unwrap();
    assert_eq!(wanted.len(), offer.chunks().len());
    for batch in here.export(&offer, &wanted).unwrap() {
        send("/v1/sources/chunks", batch.unwrap().to_vec())
            .await
            .is(200);
    }
    let made = send("/v1/sources/trees", offer.encode())
        .await
        .is(201)
        .json();
    assert_eq!(made["tree"], tree.id.to_string());
    let start = json!({"projectName": "web", "x-croft": {"tree": tree.id.to_string()}});
    rig.send("POST", "/v1/builds", &start).await.is(201);
    // The next builds of it find it kept already.
    let leases = || {
        let folder = rig.folder.path().join("kept/v2/leases");
        std::fs::read_dir(folder).unwrap().count()
    };
    let held = leases();
    assert!(held > 0);
    rig.send("POST", "/v1/builds", &start).await.is(201);
    assert_eq!(leases(), held);
    for path in [
        "/v1/sources/trees",
        "/v1/sources/wanting",
        "/v1/sources/chunks",
    ] {
        send(path, b"nonsense".to_vec()).await.is(400);
    }
    send("/v1/sources/chunks", vec![0; (8 << 20) + 1])
        .await
        .is(413);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_that_trickle_hold_nobody_up_and_are_ended() {
    let rig = Rig::start().await;
    let head = format!(
        "POST /v1/sources/chunks HTTP/1.1\r\nhost: croft\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\n\r\nx",
        rig.admin
    );
    let mut slow = Vec::new();
    for _ in 0..UPLOADS_MAX {
        let mut socket = TcpStream::connect(rig.address).await.unwrap();
        socket.write_all(head.as_bytes()).await.unwrap();
        slow.push(socket);
    }
    // All of them have been begun when this one is answered, or the test proves less.
    rig.get("/v1/projects").await.is(200);
    let token = Some(rig.admin.as_str());
    let fast = rig.ask("POST", "/v1/sources/chunks", token, &[], "nonsense");
    let fast = tokio::time::timeout(UPLOAD_GRACE / 2, fast).await;
    fast.expect("it waits for the slow ones").is(400);
    for mut socket in slow {
        let mut answer = [0; 12];
        let read = socket.read_exact(&mut answer);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408");
    }
}

/// The log is `all of it` and a line's end.
async fn parts_of_the_log(rig: &Rig, path: &str) {
    let ask =
        async |headers: &[(&str, &str)]| rig.ask("GET", path, Some(&rig.admin), headers, "").await;
    let table = [
        ("bytes=4-5", "of", "bytes 4-5/10"),
        ("bytes=4-", "of it\n", "bytes 4-9/10"),
        ("bytes=-3", "it\n", "bytes 7-9/10"),
        ("bytes=0-99", "all of it\n", "bytes 0-9/10"),
    ];
    for (range, text, said) in table {
        let part = ask(&[("range", range)]).await.is(206);
        assert_eq!(part.body, text);
        assert_eq!(part.headers["content-range"], said);
        assert_eq!(part.headers["content-length"], text.len().to_string());
    }
    let beyond = ask(&[("range", "bytes=10-")]).await.is(416);
    assert_eq!(beyond.headers["content-range"], "bytes */10");
    let several = ask(&[("range", "bytes=0-1,3-4")]).await.is(200);
    assert_eq!(several.body, "all of it\n");
    assert_eq!(several.headers["accept-ranges"], "bytes");
    let conditional = [("range", "bytes=0-1"), ("if-range", "\"x\"")];
    assert_eq!(ask(&conditional).await.is(200).body, "all of it\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_build_left_is_listed_and_read() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let (id, build) = rig.build("web").await;
    let base = format!("/v1/builds/{id}");
    rig.claim(build, 1).await;
    rig.put(
        build,
        1,
        0,
        "{\"seq\":1,\"time\":1,\"type\":\"output\",\"text\":\"hello\\n\"}\n",
    )
    .await;
    rig.put(
        build,
        1,
        1,
        "{\"seq\":2,\"time\":1,\"type\":\"notice\",\"message\":\"no\"}\n",
    )
    .await;
    let live = rig.get(&format!("{base}/log")).await.is(200);
    assert_eq!(live.body, "hello\n");
    let large: Vec<u8> = (0..3_000_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let tree = rig.keep(&[
        ("build.log", b"all of it\n"),
        ("events.ndjson", b""),
        ("artifacts/a b.txt", b"text"),
        ("artifacts/deep/large.bin", &large),
        ("reports/r.json", b"{}"),
    ]);
    rig.settle(build, &id, Some(tree)).await;
    rig.get(&format!("{base}?wait=complete&timeout=50"))
        .await
        .is(200);
    let log = rig.get(&format!("{base}/log")).await.is(200);
    assert_eq!(log.body, "all of it\n");
    parts_of_the_log(&rig, &format!("{base}/log")).await;
    let list = rig.get(&format!("{base}/artifacts")).await.is(200).json();
    let paths: Vec<&str> = list["artifacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["path"].as_str().unwrap())
        .collect();
    assert_eq!(paths, ["a b.txt", "deep/large.bin"]);
    let text = rig
        .get(&format!("{base}/artifacts/a%20b.txt"))
        .await
        .is(200);
    assert_eq!(
        (&text.body[..], &text.headers["content-disposition"]),
        (&b"text"[..], &"attachment".parse().unwrap())
    );
    let read = rig
        .get(&format!("{base}/artifacts/deep/large.bin"))
        .await
        .is(200);
    assert!(read.body == large, "{} bytes", read.body.len());
    for path in [
        "none",
        "deep",
        "..%2Fbuild.log",
        "%2Fetc%2Fpasswd",
        "deep/../../build.log",
    ] {
        rig.get(&format!("{base}/artifacts/{path}")).await.is(404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_build_left_and_the_store_has_not_is_not_said_to_be_nothing() {
    let rig = Rig::start().await;
    rig.project("web").await;
    let (id, build) = rig.build("web").await;
    let base = format!("/v1/builds/{id}");
    rig.claim(build, 1).await;
    rig.settle(build, &id, Some("ab".repeat(32))).await;
    rig.get(&format!("{base}?wait=complete&timeout=50"))
        .await
        .is(200);
    for path in ["log", "artifacts", "artifacts/index.html"] {
        let problem = rig.get(&format!("{base}/{path}")).await.is(404).json();
        let said = problem["detail"].as_str().unwrap();
        assert!(said.contains("not in the store any more"), "{path}: {said}");
    }
}
