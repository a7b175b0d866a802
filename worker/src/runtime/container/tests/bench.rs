//! What the tests stand on: an engine, images made for a test, a registry with a password, one place to run in.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use super::super::engine::Engine;
use super::super::start::{self, Started};
use super::super::{create, doors, image, reference, sources};
use crate::runtime::container::{Container, Docker, Options, Pull};
use crate::runtime::{Error, Progress, Request, Runtime, Slot, Source, install_runner};

/// Made by `scripts/test-image`.
pub(super) const IMAGE: &str = "croft-test/busybox:1";

/// Whether the test of that name can run: an engine answers, this is root, and the image is there.
pub(super) fn engine(test: &str) -> bool {
    static READY: OnceLock<Result<(), String>> = OnceLock::new();
    let ready = READY.get_or_init(|| {
        if !rustix::process::geteuid().is_root() {
            return Err("not root".to_string());
        }
        let version = Command::new("docker")
            .args(["version", "--format", "{{.Server.Version}}"])
            .output();
        if !version.is_ok_and(|output| output.status.success()) {
            return Err("no container engine".to_string());
        }
        make_image("busybox");
        Ok(())
    });
    if let Err(why) = ready {
        assert!(
            std::env::var_os("CROFT_REQUIRE_ENGINE").is_none_or(|value| value != "1"),
            "{test}: {why}"
        );
        crate::skip::skip(test, why);
    }
    ready.is_ok()
}

/// Tests are processes that start together: one makes the image, the others wait.
fn make_image(name: &str) {
    let lock = fs::File::create(std::env::temp_dir().join("croft-test-image.lock")).unwrap();
    lock.lock().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/test-image");
    let output = Command::new(script).arg(name).output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// For the suite: an image with both shells and every tool its cases name.
pub(super) fn debian() -> Option<Container> {
    engine("suite").then(|| container(debian_options()))
}

/// The same as options; there must be an engine.
pub(super) fn debian_options() -> Options {
    make_image("debian");
    Options {
        image: "croft-test/debian:1".to_string(),
        ..options()
    }
}

/// Runs `docker` and gives what it printed.
pub(super) fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "docker {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_string()
}

/// A container of the engine's default kind, without a network for speed.
pub(super) fn options() -> Options {
    Options {
        network: Some("none".to_string()),
        ..Options::new(IMAGE.to_string())
    }
}

/// The state directory of every test but those that sweep.
pub(super) fn home() -> PathBuf {
    std::env::temp_dir().join("croft-test-home")
}

/// The docker of a user who set nothing up.
pub(super) fn plain_docker() -> Docker {
    Docker::new(Path::new("/nonexistent"), |_| None)
}

pub(super) fn container(options: Options) -> Container {
    container_of(options, plain_docker())
}

pub(super) fn container_of(options: Options, docker: Docker) -> Container {
    Container::new(install_runner(&home()).unwrap(), home(), docker, options)
}

/// Whether this machine's engine may make privileged containers: one inside a fenced machine may not.
pub(super) fn gives_privileges() -> bool {
    let tried = Command::new("docker")
        .args([
            "run",
            "--rm",
            "--privileged",
            "--network",
            "none",
            IMAGE,
            "true",
        ])
        .output();
    tried.unwrap().status.success()
}

/// Starts a container just as a privileged one, but without the privileges: the image's entrypoint runs first.
pub(super) async fn start_by_entrypoint(
    build: &Build,
    image: &str,
) -> (Engine, String, Result<Started, Error>) {
    let options = Options {
        image: image.to_string(),
        privileged: true,
        ..options()
    };
    let (docker, runner) = (plain_docker(), install_runner(&home()).unwrap());
    let engine = Engine::connect(&docker.socket().unwrap()).await.unwrap();
    let reference = reference::Reference::parse(image).unwrap();
    let never = Options {
        pull: Pull::Never,
        ..options.clone()
    };
    let image = image::provide(&engine, &docker, &reference, &never, &|_| ())
        .await
        .unwrap();
    let views = sources::views(&runner, &build.request, &|_| ())
        .await
        .unwrap();
    let mut body = create::body(&options, &image, &home(), &runner, &build.request, &views);
    body.host_config.as_mut().unwrap().privileged = Some(false);
    let doors = doors::Doors::open(&build.request.directory).unwrap();
    let id = start::create(&engine, body).await.unwrap();
    let started = start::start(&engine, &id, doors, start::patience(true)).await;
    sources::take_away(&views).unwrap();
    (engine, id, started)
}

/// An image made from the usual one by lines of a Dockerfile; removed with this.
pub(super) struct Variant {
    pub(super) name: String,
}

impl Variant {
    pub(super) fn new(changes: &[&str]) -> Self {
        let name = format!("croft-test/variant:{}", uuid::Uuid::new_v4().simple());
        let made = docker(&["create", IMAGE]);
        let mut arguments = vec!["commit"];
        for change in changes {
            arguments.extend(["--change", change]);
        }
        arguments.extend([made.as_str(), name.as_str()]);
        docker(&arguments);
        docker(&["rm", &made]);
        Self { name }
    }

    /// One more name of the same image.
    pub(super) fn tag_of(other: &Self) -> Self {
        let name = format!("croft-test/variant:{}", uuid::Uuid::new_v4().simple());
        docker(&["tag", &other.name, &name]);
        Self { name }
    }
}

impl Drop for Variant {
    fn drop(&mut self) {
        drop(
            Command::new("docker")
                .args(["rmi", "-f", &self.name])
                .output(),
        );
    }
}

/// A build's folders and what was reported while its place was made.
pub(super) struct Build {
    pub(super) request: Request,
    pub(super) source: tempfile::TempDir,
    pub(super) directory: tempfile::TempDir,
    pub(super) lines: Mutex<Vec<Progress>>,
}

impl Build {
    pub(super) fn new() -> Self {
        let (source, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(source.path().join("file"), "original\n").unwrap();
        let request = Request {
            build_id: format!("test:{}", uuid::Uuid::new_v4()),
            directory: directory.path().to_path_buf(),
            sources: vec![Source {
                directory: source.path().to_path_buf(),
                inside: "/codebuild/output/src1/src".into(),
                in_place: false,
            }],
            hidden: Vec::new(),
            extra: Vec::new(),
        };
        Self {
            request,
            source,
            directory,
            lines: Mutex::default(),
        }
    }

    pub(super) async fn provision(&self, container: &Container) -> Result<Slot, Error> {
        self.provision_by(container).await
    }

    pub(super) async fn provision_by(&self, runtime: &dyn Runtime) -> Result<Slot, Error> {
        runtime
            .provision(&self.request, &|progress| {
                self.lines.lock().unwrap().push(progress)
            })
            .await
    }

    /// What was reported, a line each.
    pub(super) fn reported(&self) -> String {
        let lines = self.lines.lock().unwrap();
        let text = |line: &Progress| match line {
            Progress::Line(text) | Progress::Copying(text) => text.clone(),
        };
        lines.iter().map(text).collect::<Vec<_>>().join("\n")
    }

    /// The ids of the containers that bear this build's label.
    pub(super) fn containers(&self) -> Vec<String> {
        let label = format!("label=croft.build={}", self.request.build_id);
        let ids = docker(&["ps", "--all", "--quiet", "--no-trunc", "--filter", &label]);
        ids.split_whitespace().map(str::to_string).collect()
    }

    /// The mounts below this build's directory.
    pub(super) fn mounts(&self) -> usize {
        let directory = self.directory.path().to_string_lossy().into_owned();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts
            .lines()
            .filter(|line| line.contains(&directory))
            .count()
    }

    /// Nothing is left of it: no container, no mount.
    pub(super) fn assert_nothing_left(&self) {
        assert_eq!(self.containers(), Vec::<String>::new());
        assert_eq!(self.mounts(), 0);
    }
}

/// A registry on this machine that lets nobody in but one user.
pub(super) struct Registry {
    pub(super) address: String,
    process: std::process::Child,
    _storage: tempfile::TempDir,
}

/// The registry's user. In base64 the login holds a `/`, which engines take for no login at all if it stays one.
pub(super) const USER: &str = "croft";
pub(super) const PASSWORD: &str = "pa??ss?>~~~ou";
const HASH: &str = "$2b$05$abcdefghijklmnopqrstuuZoWiHP41Bci4qiQeYzzp.p6LOSiMIru";

impl Registry {
    /// `None`, and said so, where the program `docker-registry` is missing.
    pub(super) fn start(test: &str) -> Option<Self> {
        let storage = tempfile::tempdir().unwrap();
        let address = free_address();
        let users = storage.path().join("users");
        fs::write(&users, format!("{USER}:{HASH}\n")).unwrap();
        let configuration = storage.path().join("config.yml");
        fs::write(
            &configuration,
            configuration_text(storage.path(), &users, &address),
        )
        .unwrap();
        let log = fs::File::create(storage.path().join("log")).unwrap();
        let started = Command::new("docker-registry")
            .arg("serve")
            .arg(&configuration)
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn();
        let Ok(process) = started else {
            let required =
                std::env::var_os("CROFT_REQUIRE_ENGINE").is_some_and(|value| value == "1");
            assert!(!required, "{test}: docker-registry is not installed");
            crate::skip::skip(test, "docker-registry is not installed");
            return None;
        };
        let registry = Self {
            address,
            process,
            _storage: storage,
        };
        registry.wait();
        Some(registry)
    }

    /// Puts the usual image into it under that name; what this machine then has of it is forgotten.
    pub(super) fn publish(&self, name: &str) -> String {
        let full = format!("{}/{name}", self.address);
        let login = tempfile::tempdir().unwrap();
        fs::write(login.path().join("config.json"), self.login()).unwrap();
        docker(&["tag", IMAGE, &full]);
        docker(&["--config", &login.path().to_string_lossy(), "push", &full]);
        docker(&["rmi", &full]);
        full
    }

    /// A `config.json` that lets in.
    pub(super) fn login(&self) -> String {
        format!(
            r#"{{"auths": {{"{}": {{"username": "{USER}", "password": "{PASSWORD}"}}}}}}"#,
            self.address
        )
    }

    /// Until it listens; a registry that ends instead is an error.
    fn wait(&self) {
        let begun = std::time::Instant::now();
        while std::net::TcpStream::connect(&self.address).is_err() {
            assert!(
                begun.elapsed().as_secs() < 20,
                "the registry does not listen"
            );
            std::thread::park_timeout(std::time::Duration::from_millis(5));
        }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// A docker whose configuration is in `folder`, with helpers beside it.
pub(super) fn docker_in(folder: &Path) -> Docker {
    let (folder, path) = (
        OsString::from(folder),
        OsString::from(format!("{}:/usr/bin:/bin", folder.display())),
    );
    Docker::new(Path::new("/nonexistent"), move |name| match name {
        "DOCKER_CONFIG" => Some(folder.clone()),
        "PATH" => Some(path.clone()),
        _ => None,
    })
}

fn free_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string()
}

fn configuration_text(storage: &Path, users: &Path, address: &str) -> String {
    format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\nauth:\n  htpasswd:\n    \
         realm: test\n    path: {}\n",
        storage.join("data").display(),
        users.display()
    )
}
