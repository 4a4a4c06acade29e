//! A runner of workflow steps: the `run:` steps with bash, GitHub's variables and files; what `uses:` another action is
//! noted and not run.
//!
//! The main types are [`Runner`], a machine with an event, and [`Ran`], what the steps left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use loadtest_tests::workspace;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use super::expression::{evaluate, interpolate, is_true};

/// A machine on which a job runs.
pub(super) struct Runner {
    directory: TempDir,
    /// `github`, `inputs`, `matrix`, …
    contexts: Value,
    environment: Vec<(String, String)>,
    checkout: PathBuf,
}

/// A step that came up.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    /// Its output; `None` if it was skipped or is another action's.
    pub(super) output: Option<String>,
    /// Its exit code.
    pub(super) code: Option<i32>,
    /// The action that it would use, with its values.
    pub(super) uses: Option<(String, Value)>,
    /// What it appended to the job summary.
    pub(super) summary: String,
}

/// What a job left behind.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) steps: Vec<Step>,
    pub(super) failed: bool,
    /// The action's outputs.
    pub(super) outputs: Value,
    /// Directories that were put in front of PATH.
    pub(super) paths: Vec<PathBuf>,
}

impl Ran {
    /// The step of this name.
    pub(super) fn step(&self, name: &str) -> &Step {
        self.steps
            .iter()
            .find(|step| step.name == name)
            .unwrap_or_else(|| panic!("no {name}: {:?}", self.steps))
    }
}

impl Runner {
    /// A machine on which this event came, with an empty checkout.
    pub(super) fn new(event_name: &str, event: &Value) -> Self {
        let directory = TempDir::new().expect("a directory");
        for name in ["bin", "temp", "home", "checkout"] {
            fs::create_dir(directory.path().join(name)).expect("a directory");
        }
        let checkout = directory.path().join("checkout");
        fs::write(directory.path().join("event.json"), event.to_string()).expect("writes");
        let github = json!({
            "event_name": event_name,
            "event": event,
            "repository": "owner/project",
            "base_ref": event["pull_request"]["base"]["ref"],
            "token": "a-token",
            "action_path": workspace().display().to_string(),
        });
        let temp = directory.path().join("temp").display().to_string();
        let contexts = json!({ "github": github, "runner": { "temp": temp }, "job": { "failed": false } });
        Self { directory, contexts, environment: Vec::new(), checkout }
    }

    /// The same with its checkout elsewhere.
    pub(super) fn checked_out(mut self, at: &Path) -> Self {
        at.clone_into(&mut self.checkout);
        self
    }

    /// The same with a variable.
    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with a context, `matrix` for instance.
    pub(super) fn context(mut self, name: &str, value: Value) -> Self {
        self.contexts[name] = value;
        self
    }

    /// The same with a program in front of all others.
    pub(super) fn program(self, name: &str, script: &str) -> Self {
        let path = self.path("bin").join(name);
        fs::write(&path, script).expect("writes");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("it is ours");
        self
    }

    /// A file or directory of the machine.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs a composite action with these inputs.
    pub(super) fn action(mut self, action: &Value, inputs: &[(&str, &str)]) -> (Ran, Self) {
        let mut values = Map::new();
        for (name, input) in action["inputs"].as_object().into_iter().flatten() {
            let default = input["default"].as_str().unwrap_or_default();
            values.insert(name.clone(), interpolate(default, &self.contexts).into());
        }
        for (name, value) in inputs {
            let known = values.insert((*name).to_owned(), (*value).into());
            assert!(known.is_some(), "there is no input {name}");
        }
        self.contexts["inputs"] = Value::Object(values);
        let mut ran = self.steps(&action["runs"]["steps"], true);
        let value =
            |output: &Value| interpolate(output["value"].as_str().unwrap_or_default(), &self.contexts);
        let outputs = action["outputs"].as_object().into_iter().flatten();
        ran.outputs = outputs.map(|(name, output)| (name.clone(), Value::String(value(output)))).collect();
        (ran, self)
    }

    /// Runs a job of a workflow.
    pub(super) fn job(mut self, job: &Value) -> (Ran, Self) {
        let ran = match job["if"].as_str() {
            Some(condition) if !is_true(&evaluate(condition, &self.contexts)) => Ran::default(),
            _ => self.steps(&job["steps"], false),
        };
        (ran, self)
    }

    fn steps(&mut self, steps: &Value, is_composite: bool) -> Ran {
        let mut ran = Ran::default();
        let mut paths: Vec<PathBuf> = Vec::new();
        self.contexts["steps"] = json!({});
        for (at, step) in steps.as_array().expect("steps").iter().enumerate() {
            let text = |key: &str| step[key].as_str();
            let name = text("name").or(text("uses")).or(text("run")).unwrap_or_default().to_owned();
            // Without a condition on how the others went, a step runs only if they went well.
            let condition = text("if").unwrap_or("success()");
            let looks =
                ["always()", "success()", "failure()"].iter().any(|status| condition.contains(status));
            let goes = is_true(&evaluate(condition, &self.contexts)) && (looks || !ran.failed);
            let mut done = Step { name, output: None, code: None, uses: None, summary: String::new() };
            if goes && let Some(uses) = text("uses") {
                done.uses = Some((uses.to_owned(), self.interpolated(&step["with"])));
            } else if goes {
                assert!(
                    !is_composite || text("shell") == Some("bash"),
                    "{}: a composite step names its shell",
                    done.name
                );
                let outputs = self.run(step, at, &mut paths, &mut done);
                if let Some(id) = text("id") {
                    self.contexts["steps"][id]["outputs"] = outputs;
                }
                ran.failed |= done.code != Some(0);
                self.contexts["job"]["failed"] = ran.failed.into();
            }
            if let Some(id) = text("id") {
                let outcome = if !goes {
                    "skipped"
                } else if done.code.unwrap_or(0) == 0 {
                    "success"
                } else {
                    "failure"
                };
                self.contexts["steps"][id]["outcome"] = outcome.into();
            }
            ran.steps.push(done);
        }
        ran.paths = paths;
        ran
    }

    fn interpolated(&self, values: &Value) -> Value {
        let text = |value: &Value| match value {
            Value::String(text) => Value::String(interpolate(text, &self.contexts)),
            other => other.clone(),
        };
        values.as_object().into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
    }

    fn run(&self, step: &Value, at: usize, paths: &mut Vec<PathBuf>, done: &mut Step) -> Value {
        let script = step["run"].as_str().expect("a script");
        assert!(!script.contains("${{"), "{}: what is put into a script is run", done.name);
        let file = |kind: &str| {
            let path = self.path(&format!("{kind}-{at}"));
            fs::write(&path, "").expect("writes");
            path
        };
        let (output, summary, path) = (file("output"), file("summary"), file("path"));
        let place = self.interpolated(&json!({ "at": step["working-directory"].as_str().unwrap_or(".") }));
        let script_file = self.path(&format!("script-{at}.sh"));
        fs::write(&script_file, script).expect("writes");

        let mut bash = Command::new("bash");
        // What GitHub starts for `shell: bash`, and without a shell.
        match step["shell"].as_str() {
            Some(_) => bash.args(["--noprofile", "--norc", "-eo", "pipefail"]),
            None => bash.arg("-e"),
        };
        let own = std::env::var("PATH").unwrap_or_default();
        let in_front = paths.iter().rev().cloned().chain([self.path("bin")]);
        let search: Vec<String> = in_front.map(|path| path.display().to_string()).chain([own]).collect();
        bash.arg(&script_file)
            .current_dir(self.checkout.join(place["at"].as_str().unwrap_or(".")))
            .stdin(Stdio::null())
            .env("PATH", search.join(":"))
            .env("CI", "true")
            .env("GITHUB_ACTIONS", "true")
            .env("GITHUB_WORKFLOW", "load test")
            .env("GITHUB_JOB", "loadtest")
            .env("GITHUB_REPOSITORY", "owner/project")
            .env("GITHUB_SERVER_URL", "https://github.com")
            .env("GITHUB_REF_NAME", "v0.1.0")
            .env("GITHUB_EVENT_NAME", self.contexts["github"]["event_name"].as_str().unwrap_or_default())
            .env("GITHUB_EVENT_PATH", self.path("event.json"))
            .env("GITHUB_WORKSPACE", &self.checkout)
            .env("GITHUB_OUTPUT", &output)
            .env("GITHUB_STEP_SUMMARY", &summary)
            .env("GITHUB_PATH", &path)
            .env("GITHUB_ENV", file("env"))
            .env("RUNNER_TEMP", self.path("temp"))
            .env("RUNNER_OS", "Linux")
            // Set for the tests' own crate.
            .env_remove("CARGO_MANIFEST_DIR")
            .env_remove("CARGO_PKG_NAME")
            .envs(self.environment.iter().map(|(name, value)| (name, value)));
        for (name, value) in self.interpolated(&step["env"]).as_object().into_iter().flatten() {
            bash.env(name, value.as_str().unwrap_or_default());
        }
        let ended = bash.output().expect("bash can be started");
        let said = [ended.stdout, ended.stderr].concat();
        done.output = Some(String::from_utf8_lossy(&said).into_owned());
        done.code = ended.status.code();
        let read = |path: &Path| fs::read_to_string(path).expect("it is there");
        done.summary = read(&summary);
        paths.extend(read(&path).lines().map(PathBuf::from));
        outputs(&read(&output))
    }
}

impl Default for Ran {
    fn default() -> Self {
        Self { steps: Vec::new(), failed: false, outputs: Value::Null, paths: Vec::new() }
    }
}

/// The file of outputs as the runner reads it: `name=value`, or `name<<DELIMITER`, lines, `DELIMITER`.
fn outputs(text: &str) -> Value {
    let mut found = Map::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let (name, value) = match line.split_once("<<") {
            Some((name, delimiter)) if !name.contains('=') => {
                let value: Vec<&str> = lines.by_ref().take_while(|line| *line != delimiter).collect();
                (name, value.join("\n"))
            }
            _ => line.split_once('=').map(|(name, value)| (name, value.to_owned())).expect("an output"),
        };
        found.insert(name.to_owned(), value.into());
    }
    Value::Object(found)
}
