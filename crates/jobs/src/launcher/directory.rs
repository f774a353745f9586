//! The job's folder, seen from outside the worker.

use std::fs;
use std::io;
use std::path::Path;

use posthuman_types::{Input, InputManifest, ModelDetails};

use super::process::{read_bounded, write_private};
use super::{LaunchError, Run, directory_error};
use crate::sandbox::FILE_BYTES;
use crate::stage;
use crate::task::Task;

/// The most of a worker's diagnostics that is kept.
const LOG_LIMIT: u64 = 64 << 10;

/// Makes the folder anew, with `job.json`, the staged `inputs/` and an empty `outputs/`.
pub(super) fn prepare(run: &Run<'_>) -> Result<(), LaunchError> {
    let directory = &run.directory;
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        other => other.map_err(directory_error(directory))?,
    }
    for folder in [
        directory.clone(),
        directory.join("inputs"),
        directory.join("outputs"),
    ] {
        use std::os::unix::fs::DirBuilderExt;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(directory_error(&folder))?;
    }
    let path = directory.join("job.json");
    let json = serde_json::to_vec(&run.task).expect("a task has no key that is not a string");
    write_private(&path, &json).map_err(directory_error(&path))?;
    stage::stage(
        run.vault,
        run.task.inputs(),
        &run.inputs,
        &directory.join("inputs"),
    )?;
    Ok(())
}

/// Keeps the beginning of the worker's diagnostics in `worker.log` and gives it back.
pub(super) fn keep_log(directory: &Path, log: impl io::Read) -> String {
    let kept = read_bounded(log, LOG_LIMIT);
    if !kept.is_empty() {
        // Diagnostics are a help, not a result: a disk that is full must not turn a good run into a failed one.
        let _ = write_private(&directory.join("worker.log"), &kept);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// What a trained model is besides its shape, beside the job: it is no output, since no figure of the job depends on it.
const DETAILS: &str = "model.json";

/// Keeps what is said of a trained model.
pub(super) fn keep_details(directory: &Path, details: &ModelDetails) -> Result<(), LaunchError> {
    let path = directory.join(DETAILS);
    let json = serde_json::to_vec(details).expect("details have no key that is not a string");
    write_private(&path, &json).map_err(directory_error(&path))
}

/// What [`keep_details`] kept; nothing where a model was trained before that was done.
pub(crate) fn details(directory: &Path) -> io::Result<Option<ModelDetails>> {
    match fs::read(directory.join(DETAILS)) {
        Ok(json) => Ok(Some(serde_json::from_slice(&json)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Describes the files under `outputs/` and refuses everything that does not belong there.
pub(super) fn outputs(directory: &Path, task: &Task) -> Result<InputManifest, String> {
    let unreadable = |error: io::Error| format!("`outputs/` could not be read: {error}");
    let mut found = Vec::new();
    for entry in fs::read_dir(directory.join("outputs")).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let facts = entry.path().symlink_metadata().map_err(unreadable)?;
        if !task.output_names().contains(&name.as_str()) {
            return Err("a file that this operation does not write lies in `outputs/`".to_owned());
        }
        if !facts.is_file() || facts.len() > FILE_BYTES {
            return Err(format!("`outputs/{name}` is not a plain file of acceptable size"));
        }
        found.push(Input::describe(
            &name,
            &fs::read(entry.path()).map_err(unreadable)?,
        ));
    }
    if let Some(missing) = task
        .output_names()
        .iter()
        .find(|name| !found.iter().any(|input| input.name == **name))
    {
        return Err(format!("`outputs/{missing}` is missing"));
    }
    Ok(InputManifest::new(found))
}

#[cfg(test)]
mod tests {
    use posthuman_types::{JobId, JobSpec, Limits, Operation};

    use super::*;

    #[test]
    fn only_the_listed_plain_files_may_lie_in_outputs() {
        let folder = tempfile::tempdir().unwrap();
        let outputs_folder = folder.path().join("outputs");
        fs::create_dir(&outputs_folder).unwrap();
        let task = Task::Job(JobSpec {
            version: 1,
            job_id: JobId([1; 16]),
            operation: Operation::Train,
            parameters: String::new(),
            inputs: InputManifest::default(),
            commitment: None,
            engine: None,
            threads: 1,
            limits: Limits {
                memory_bytes: 1,
                cpu_seconds: 1,
            },
        });
        assert_eq!(
            outputs(folder.path(), &task).unwrap_err(),
            "`outputs/metrics.json` is missing"
        );
        let metrics = outputs_folder.join("metrics.json");
        fs::write(&metrics, "{}").unwrap();
        assert_eq!(outputs(folder.path(), &task).unwrap().inputs().len(), 1);
        fs::write(outputs_folder.join("weights.bin"), "x").unwrap();
        assert!(
            outputs(folder.path(), &task)
                .unwrap_err()
                .contains("does not write")
        );
        fs::remove_file(outputs_folder.join("weights.bin")).unwrap();
        fs::remove_file(&metrics).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &metrics).unwrap();
        assert!(
            outputs(folder.path(), &task)
                .unwrap_err()
                .contains("not a plain file")
        );
        fs::remove_file(&metrics).unwrap();
        fs::create_dir(&metrics).unwrap();
        assert!(
            outputs(folder.path(), &task)
                .unwrap_err()
                .contains("not a plain file")
        );
    }
}
