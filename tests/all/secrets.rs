//! Values of `parameter-store` and `secrets-manager`: where they come from, what is said when they are missing, and that they
//! are seen in no rendering and kept in no file.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::harness::{At, Farm, each_place, in_terminal, skip};

/// Every kind of character that an encoding treats in a way of its own.
const SECRET: &str = "p/a+s \"w\\ör&d<7>=%?";
const LINES: &str = "-----BEGIN-----\nfirst line of key\n  second line of key\n-----END-----";

const SPEC: &str = "env:\n  parameter-store: {ONE: /app/one}\n  secrets-manager: {TWO: 'app/two:key'}\nphases:\n  build:\n    commands: ['cat forms; false']\n";

/// Base64 with padding.
fn base64(bytes: &[u8], last: &[u8; 2]) -> String {
    let alphabet: Vec<u8> = (b'A'..=b'Z')
        .chain(b'a'..=b'z')
        .chain(b'0'..=b'9')
        .chain(*last)
        .collect();
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .chain(&[0, 0])
            .take(3)
            .fold(0, |word: usize, byte| word << 8 | usize::from(*byte));
        for place in 0..4 {
            let at = word >> (18 - 6 * place) & 63;
            text.push(if place <= chunk.len() {
                char::from(alphabet[at])
            } else {
                '='
            });
        }
    }
    text
}

/// The characters that hold nothing but `value` when it stands after `before` bytes and before others.
fn base64_within(value: &str, before: usize, last: &[u8; 2]) -> String {
    let whole = [&b"xx"[..before], value.as_bytes(), b"yy"].concat();
    let (first, end) = ((before * 8).div_ceil(6), (before + value.len()) * 8 / 6);
    base64(&whole, last)[first..end].to_string()
}

fn percent(value: &str, kept: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || kept.contains(&byte);
    value
        .bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// Every form that Promise D names, of one value.
pub(crate) fn forms(value: &str) -> Vec<String> {
    let json = serde_json::to_string(value).unwrap();
    let json = json.trim_matches('"').to_string();
    let mut forms = vec![
        value.to_string(),
        percent(value, b"-._~"),
        percent(value, b"-._~").replace("%20", "+"),
        percent(value, b"-_.!~*'()"),
        json.replace('/', "\\/"),
        json.replace('ö', "\\u00f6"),
        json,
    ];
    for before in 0..3 {
        forms.extend([b"+/", b"-_"].map(|last| base64_within(value, before, last)));
    }
    forms
}

/// A build that shows the secrets in all forms; those forms.
fn leaky(farm: &Farm) -> Vec<String> {
    let two = serde_json::json!({"/app/one": SECRET, "app/two": {"key": LINES}});
    fs::write(farm.folder().join("secrets"), two.to_string()).unwrap();
    let mut all = forms(SECRET);
    for line in LINES.lines() {
        all.extend(forms(line.trim()));
    }
    // Each stands as it is, and among other text without a blank between.
    let shown: String = all
        .iter()
        .map(|form| format!("{form}\nkey={form};\n"))
        .collect();
    let encoded: String = ["", "a", "ab"]
        .iter()
        .map(|before| base64(format!("{before}{SECRET}:rest").as_bytes(), b"+/") + "\n")
        .collect();
    farm.file("forms", shown + &encoded + LINES + "\nthe end\n");
    farm.spec(SPEC);
    all
}

#[track_caller]
fn assert_masked(shown: &str, forms: &[String]) {
    for form in forms {
        assert!(!shown.contains(form.as_str()), "{form:?} is in\n{shown}");
    }
    assert!(
        shown.contains("the end") && shown.contains("***"),
        "{shown}"
    );
}

fn secrets_are_masked_in_plain_output_and_in_the_log(farm: &Farm) {
    let forms = leaky(farm);
    let ran = farm.end(farm.croft_run(&["-o", "plain", "--secret-file", "../secrets"]));
    ran.assert_code(1);
    assert_masked(&ran.text(), &forms);
    assert_masked(&String::from_utf8(ran.log()).unwrap(), &forms);
}

fn secrets_are_masked_in_events(farm: &Farm) {
    let forms = leaky(farm);
    let ran = farm.run(&["--secret-file", "../secrets"]);
    ran.assert_code(1);
    assert_masked(&ran.output(), &forms);
    // The events escape what they hold, so each text of each of them is looked at as well.
    let mut texts = String::new();
    let mut values: Vec<&serde_json::Value> = ran.events.iter().collect();
    while let Some(value) = values.pop() {
        match value {
            serde_json::Value::String(text) => texts += text,
            serde_json::Value::Array(list) => values.extend(list),
            serde_json::Value::Object(map) => values.extend(map.values()),
            serde_json::Value::Null | serde_json::Value::Bool(_) | serde_json::Value::Number(_) => {
            }
        }
    }
    assert_masked(&texts, &forms);
    assert_masked(&ran.text(), &forms);
}

fn a_secret_that_comes_in_pieces_is_masked(farm: &Farm) {
    farm.file("secrets", "/app/one=a-secret-of-its-own\n");
    farm.spec("env:\n  parameter-store: {ONE: /app/one}\nphases:\n  build:\n    commands: ['printf \"[a-secr\"; printf \"et-of-it\"; printf \"s-own]\"; echo; printf \"%s\" \"$ONE\" | wc -c']\n");
    let ran = farm.run(&["--secret-file", "secrets"]);
    ran.assert_code(0);
    assert_eq!(ran.output(), "[***]\n19\n");
}

/// Whatever Croft itself writes of a build: all but artifacts, which are the build's own files.
fn nothing_that_is_kept_of_a_build_holds_a_secret(farm: &Farm) {
    farm.file("secrets", "/app/one=a-secret-of-its-own\n");
    farm.spec(
        "env:\n  parameter-store: {ONE: /app/one}\n  exported-variables: [URL]\nphases:\n  build:\n    commands:\n      - URL=https://user:$ONE@host\n      - printf '<testsuite><testcase name=\"t-%s\"><failure message=\"%s\"/></testcase></testsuite>' $ONE $ONE > junit.xml\n      - echo a-secret-of-its-own; false\nreports:\n  tests: {files: [junit.xml]}\n",
    );
    let ran = farm.run(&["--secret-file", "secrets"]);
    ran.assert_code(1);
    assert!(
        !ran.text().contains("a-secret-of-its-own"),
        "{}",
        ran.story()
    );
    let builds = fs::read_dir(farm.home().join("builds"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let kept: Vec<PathBuf> = builds
        .flat_map(|build| {
            ["build.log", "result.json", "reports/reports.json"].map(|name| build.join(name))
        })
        .collect();
    assert_eq!(kept.len(), 3);
    for path in kept {
        let text = fs::read_to_string(&path).unwrap();
        assert!(
            !text.contains("a-secret-of-its-own"),
            "{}:\n{text}",
            path.display()
        );
    }
}

fn a_missing_value_names_its_place_and_the_ways_out(farm: &Farm) {
    for (given, words) in [
        ("parameter-store: {ONE: /app/none}", "/app/none"),
        ("secrets-manager: {ONE: app/none}", "app/none"),
    ] {
        let ran = farm.run_spec(&format!(
            "env:\n  {given}\nphases:\n  build:\n    commands: ['echo never']\n"
        ));
        ran.assert_code(1);
        let (code, message) = ran.context("DOWNLOAD_SOURCE");
        assert_eq!(code, "CLIENT_ERROR");
        assert!(
            message.contains("buildspec.yml:")
                && message.contains(words)
                && message.contains("--secret-file")
                && message.contains("-c"),
            "{message}"
        );
        assert!(ran.commands().is_empty());
    }
}

fn a_key_of_a_json_secret_is_taken_and_a_missing_key_is_named(farm: &Farm) {
    farm.file(
        "secrets",
        r#"{"app/db": {"user": "someone", "port": 5432}, "plain": "no json"}"#,
    );
    farm.spec("env:\n  secrets-manager: {USER_NAME: 'app/db:user', PORT: 'app/db:port', WHOLE: plain}\nphases:\n  build:\n    commands: ['printf \"%s\" \"$USER_NAME-$PORT-$WHOLE\" | tr a-z A-Z']\n");
    let ran = farm.run(&["--secret-file", "secrets"]);
    ran.assert_code(0);
    assert_eq!(ran.output(), "SOMEONE-5432-NO JSON");
    farm.spec("env:\n  secrets-manager: {USER_NAME: 'app/db:nothing'}\nphases:\n  build:\n    commands: ['true']\n");
    let ran = farm.run(&["--secret-file", "secrets"]);
    ran.assert_code(1);
    let (_, message) = ran.context("DOWNLOAD_SOURCE");
    assert!(
        message.contains("app/db") && message.contains("nothing"),
        "{message}"
    );
}

each_place!(
    secrets_are_masked_in_plain_output_and_in_the_log,
    secrets_are_masked_in_events,
    a_secret_that_comes_in_pieces_is_masked,
    nothing_that_is_kept_of_a_build_holds_a_secret,
    a_missing_value_names_its_place_and_the_ways_out,
    a_key_of_a_json_secret_is_taken_and_a_missing_key_is_named,
);

#[test]
fn secrets_are_masked_on_a_terminal() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let forms = leaky(&farm);
    let Some(ran) = in_terminal(&farm, farm.croft_run(&["--secret-file", "../secrets"])) else {
        return;
    };
    ran.assert_code(1);
    assert_masked(&ran.text(), &forms);
}

#[test]
fn the_secret_file_itself_is_not_in_the_build() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    leaky(&farm);
    farm.spec(&SPEC.replace(
        "cat forms; false",
        &format!("test ! -e {}", farm.folder().join("secrets").display()),
    ));
    farm.run(&["--secret-file", "../secrets"]).assert_code(0);
}

/// An AWS of this test's own: moto's server. Dropped, it ends.
struct Aws {
    server: Child,
    endpoint: String,
    programs: PathBuf,
}

impl Aws {
    /// Where `scripts/setup` puts the server and the command line; another folder when `CROFT_TEST_AWS` names it.
    fn programs() -> PathBuf {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.unwrap_or_else(|| {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache")
        });
        std::env::var_os("CROFT_TEST_AWS")
            .map_or_else(|| cache.join("croft/test-aws/bin"), PathBuf::from)
    }

    fn start() -> Option<Self> {
        let programs = Self::programs();
        if !programs.join("moto_server").exists() || !programs.join("aws").exists() {
            skip(&format!(
                "there is no moto_server and aws in {}: run scripts/setup",
                programs.display()
            ));
            return None;
        }
        let mut server = Command::new(programs.join("moto_server"))
            .args(["-H", "127.0.0.1", "-p", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines();
        let endpoint = loop {
            let line = lines.next().expect("the server says where it is").unwrap();
            if let Some((_, address)) = line.split_once("Running on ") {
                break address.trim().to_string();
            }
        };
        // Each request is a line; a full pipe would stop the server.
        std::thread::Builder::new()
            .name("moto".into())
            .spawn(move || lines.for_each(drop))
            .unwrap();
        Some(Self {
            server,
            endpoint,
            programs,
        })
    }

    /// Sets a command up to ask this AWS.
    fn introduce<'c>(&self, command: &'c mut Command, home: &Path) -> &'c mut Command {
        let path = std::env::var("PATH").unwrap();
        command
            .env("PATH", format!("{}:{path}", self.programs.display()))
            .env("HOME", home);
        command
            .env("AWS_ENDPOINT_URL", &self.endpoint)
            .envs(["AWS_REGION", "AWS_DEFAULT_REGION"].map(|name| (name, "eu-west-1")));
        command
            .env("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
            .env("AWS_SECRET_ACCESS_KEY", "key-of-the-caller-x")
    }

    fn tell(&self, home: &Path, words: &[&str]) {
        let mut command = Command::new(self.programs.join("aws"));
        let output = self
            .introduce(&mut command, home)
            .args(words)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.server.kill().unwrap_or_default();
        self.server.wait().map(|_| ()).unwrap_or_default();
    }
}

#[test]
fn aws_itself_is_asked_with_the_callers_own_credentials() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let Some(aws) = Aws::start() else { return };
    let home = farm.person();
    aws.tell(
        &home,
        &[
            "ssm",
            "put-parameter",
            "--type",
            "SecureString",
            "--name",
            "/app/one",
            "--value",
            "value-of-one",
        ],
    );
    aws.tell(
        &home,
        &[
            "secretsmanager",
            "create-secret",
            "--name",
            "app/two",
            "--secret-string",
            r#"{"key":"value-of-two"}"#,
        ],
    );
    farm.spec(
        "env:\n  parameter-store: {ONE: /app/one}\n  secrets-manager: {TWO: 'app/two:key:AWSCURRENT'}\nphases:\n  build:\n    commands: ['echo $ONE $TWO; echo $ONE $TWO $AWS_SECRET_ACCESS_KEY | tr a-z A-Z; echo $AWS_REGION']\n",
    );
    let mut command = farm.croft_run(&["-o", "ndjson", "-c"]);
    aws.introduce(&mut command, &home);
    let ran = farm.end(command);
    ran.assert_code(0);
    assert_eq!(
        ran.output(),
        "*** ***\nVALUE-OF-ONE VALUE-OF-TWO KEY-OF-THE-CALLER-X\neu-west-1\n"
    );

    farm.spec(
        "env:\n  parameter-store: {ONE: /app/none}\nphases:\n  build:\n    commands: ['true']\n",
    );
    let mut command = farm.croft_run(&["-o", "ndjson", "-c"]);
    aws.introduce(&mut command, &home);
    let ran = farm.end(command);
    ran.assert_code(1);
    assert!(
        ran.context("DOWNLOAD_SOURCE")
            .1
            .contains("Parameter does not exist: /app/none"),
        "{:?}",
        ran.context("DOWNLOAD_SOURCE")
    );
}

#[test]
fn a_profile_of_the_caller_is_used_and_handed_to_the_build() {
    let Some(farm) = At::SANDBOX.farm() else {
        return;
    };
    let Some(aws) = Aws::start() else { return };
    let home = farm.person();
    aws.tell(
        &home,
        &[
            "ssm",
            "put-parameter",
            "--type",
            "String",
            "--name",
            "/app/one",
            "--value",
            "value-of-one",
        ],
    );
    fs::create_dir(home.join(".aws")).unwrap();
    fs::write(
        home.join(".aws/config"),
        format!(
            "[profile team]\nregion = eu-west-1\nendpoint_url = {}\n",
            aws.endpoint
        ),
    )
    .unwrap();
    fs::write(
        home.join(".aws/credentials"),
        "[team]\naws_access_key_id = x\naws_secret_access_key = y\n",
    )
    .unwrap();
    farm.spec("env:\n  parameter-store: {ONE: /app/one}\nphases:\n  build:\n    commands: ['echo $AWS_PROFILE; grep -c team ~/.aws/config; echo $ONE | tr a-z A-Z']\n");
    let mut command = farm.croft_run(&["-o", "ndjson", "-p", "team"]);
    command.env(
        "PATH",
        format!(
            "{}:{}",
            aws.programs.display(),
            std::env::var("PATH").unwrap()
        ),
    );
    let ran = farm.end(command);
    ran.assert_code(0);
    assert_eq!(ran.output(), "team\n1\nVALUE-OF-ONE\n");
}
