//! From a submission to the first line of its output at whoever follows: a tree of a thousand files that was uploaded before, one
//! secret, durable; with a warm container, and in the sandbox. Against `docker run --rm IMAGE echo`.

use std::process::Command;
use std::time::{Duration, Instant};

use super::http::{Client, text};
use super::running::Farm;
use crate::sample::{Verdict, median, whole};
use crate::subject::{IMAGE, Subject};

const ROUNDS: usize = 60;
const FILES: usize = 1_000;
/// Until the pool is filled again and the engine rests.
const REST: Duration = Duration::from_millis(900);
const P50_SHARE_MAX: f64 = 1.0 / 20.0;
const P99_SHARE_MAX: f64 = 1.0 / 8.0;
/// Of the row that saturates: twice as many clients as slots.
const CLIENTS: usize = 4;
const SAMPLES_OF_CLIENT: usize = 40;
/// No later than the engine's own command line makes its users wait.
const P99_SATURATED_SHARE_MAX: f64 = 1.0;

pub(super) fn container(subject: &Subject) -> Result<Vec<Verdict>, String> {
    measure(subject, IMAGE)
}

pub(super) fn sandbox(subject: &Subject) -> Result<Vec<Verdict>, String> {
    measure(subject, "sandbox")
}

/// The same while more is asked for than can run: clients that submit again as soon as their build is over. Against as many shells
/// that start `docker run` again and again.
pub(super) fn saturated(subject: &Subject) -> Result<Vec<Verdict>, String> {
    let (farm, tree) = prepared(subject, IMAGE)?;
    let tokens = farm.builders(CLIENTS)?;
    let clients = farm.connected(&tokens)?;
    let tree = tree.as_str();
    let ours = at_once(clients, move |client| sample(client, tree))?;
    let theirs = at_once(vec![(); CLIENTS], |_shell: &mut ()| docker_run())?;
    let what = format!("submission to first line at a follower, {CLIENTS} clients and 2 slots");
    println!(
        "farm start, saturated: p50 {:.0?}, docker run {:.0?}; {} builds each",
        median(ours.clone()),
        median(theirs.clone()),
        ours.len()
    );
    Ok(vec![Verdict::times(
        &format!("{what}, p99; docker run --rm, as many at once"),
        p99(ours),
        p99(theirs),
        P99_SATURATED_SHARE_MAX,
    )])
}

/// What each of the clients measured, one sample after the other, all clients at once; the first of each warms up.
fn at_once<C: Send>(
    clients: Vec<C>,
    sample: impl Fn(&mut C) -> Result<Duration, String> + Sync,
) -> Result<Vec<Duration>, String> {
    let sample = &sample;
    std::thread::scope(|threads| {
        let asking: Vec<_> = clients
            .into_iter()
            .map(|mut client| {
                threads.spawn(move || {
                    sample(&mut client)?;
                    (0..SAMPLES_OF_CLIENT)
                        .map(|_| sample(&mut client))
                        .collect::<Result<Vec<_>, String>>()
                })
            })
            .collect();
        let mut all = Vec::new();
        for thread in asking {
            let times = thread
                .join()
                .map_err(|_panic| "a client ended".to_string())?;
            all.extend(times?);
        }
        Ok(all)
    })
}

fn docker_run() -> Result<Duration, String> {
    let mut command = Command::new("docker");
    whole(command.args(["run", "--rm", IMAGE, "echo"]))
}

/// A farm with a project whose source was uploaded by a first build, as a user's would be: the farm, and the source's tree.
fn prepared(subject: &Subject, image: &str) -> Result<(Farm, String), String> {
    let farm = Farm::up(subject, &["--slots", "2"])?;
    let source = source(&farm)?;
    let mut secret = farm.croft(subject, &["secret", "set", "bench"]);
    let value = farm.folder().join("value");
    std::fs::write(&value, "a-secret-of-the-bench").map_err(text)?;
    whole(secret.arg("--value-file").arg(&value))?;
    // Its buildspec is the source's own.
    let project = serde_json::json!({"name": "bench", "source": {"type": "NO_SOURCE"}, "environment": {"image": image}});
    farm.client()?
        .granted("PUT", "/v1/projects/bench", &project.to_string())?;
    let mut submit = farm.croft(
        subject,
        &[
            "submit",
            "--project",
            "bench",
            "--image",
            image,
            "-o",
            "plain",
        ],
    );
    whole(submit.arg(&source))?;
    let builds = farm.client()?.granted("GET", "/v1/builds?limit=1", "")?;
    let tree = tree_of(&farm, &builds)?;
    Ok((farm, tree))
}

fn measure(subject: &Subject, image: &str) -> Result<Vec<Verdict>, String> {
    let (farm, tree) = prepared(subject, image)?;
    let mut client = farm.client()?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        std::thread::sleep(REST);
        let mine = sample(&mut client, &tree)?;
        std::thread::sleep(REST);
        let other = docker_run()?;
        if round > 0 {
            ours.push(mine);
            theirs.push(other);
        }
    }
    let what = format!("submission to first line at a follower, {image}");
    Ok(vec![
        Verdict::times(
            &format!("{what}, p50; docker run --rm"),
            median(ours.clone()),
            median(theirs.clone()),
            P50_SHARE_MAX,
        ),
        Verdict::times(
            &format!("{what}, p99; docker run --rm"),
            p99(ours),
            p99(theirs),
            P99_SHARE_MAX,
        ),
    ])
}

pub(super) fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[(times.len() * 99 / 100).min(times.len() - 1)]
}

fn source(farm: &Farm) -> Result<std::path::PathBuf, String> {
    let folder = farm.folder().join("bench");
    std::fs::create_dir_all(&folder).map_err(text)?;
    for number in 0..FILES {
        let part = folder.join(format!("part{}", number % 20));
        std::fs::create_dir_all(&part).map_err(text)?;
        std::fs::write(
            part.join(format!("file{number}.txt")),
            format!("{number}\n").repeat(200),
        )
        .map_err(text)?;
    }
    let buildspec = "version: 0.2\nenv:\n  secrets-manager:\n    TOKEN: bench\nphases:\n  build:\n    commands:\n      - echo first-line\n";
    std::fs::write(folder.join("buildspec.yml"), buildspec).map_err(text)?;
    Ok(folder)
}

/// The tree that the first build was of: its client keeps what it uploaded in its own store under the same digest.
fn tree_of(farm: &Farm, builds: &serde_json::Value) -> Result<String, String> {
    let id = builds["builds"][0]["id"]
        .as_str()
        .ok_or("there is no build")?;
    let build = farm
        .client()?
        .granted("GET", &format!("/v1/builds/{id}"), "")?;
    find_tree(&build).ok_or_else(|| format!("the build names no tree: {build}"))
}

fn find_tree(value: &serde_json::Value) -> Option<String> {
    if let Some(list) = value.as_array() {
        return list.iter().find_map(find_tree);
    }
    let map = value.as_object()?;
    let own = map.get("tree").and_then(|tree| tree.as_str());
    own.map(str::to_string)
        .or_else(|| map.values().find_map(find_tree))
}

fn sample(client: &mut Client, tree: &str) -> Result<Duration, String> {
    let body = serde_json::json!({"projectName": "bench", "x-croft": {"tree": tree}}).to_string();
    let begun = Instant::now();
    let started = client.granted("POST", "/v1/builds", &body)?;
    let id = started["build"]["id"].as_str().ok_or("no id")?.to_string();
    client.follow(&format!("/v1/builds/{id}/events"))?;
    let (mut seen, mut took) = (Vec::new(), None);
    while client.chunk(&mut seen)? {
        if took.is_none() && contains(&seen, b"first-line\\n") {
            took = Some(begun.elapsed());
        }
    }
    took.ok_or_else(|| format!("no output of {id}: {}", String::from_utf8_lossy(&seen)))
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}
