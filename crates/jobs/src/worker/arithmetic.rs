//! In what a job's products are computed.

use posthuman_lm::{Arithmetic, Bundle, BundleHeader, Model};
use posthuman_types::{EngineName, JobSpec, Operation, Parameters, Precision};

use super::stop::Stop;
use crate::numerics;
use crate::task::RefusalCode;

/// The arithmetic of a job: that of the engine that it names, else the fastest of this machine in its precision.
pub(super) fn of_job(job: &JobSpec, precision: Precision) -> Result<Arithmetic, Stop> {
    let Some(engine) = &job.engine else {
        return Ok(numerics::fastest(precision));
    };
    if EngineName::read(engine).precision() != Some(precision) {
        let reason = format!("the parameters ask for {precision}, and engine `{engine}` computes otherwise");
        return Err(Stop::refused(RefusalCode::ParametersInvalid, reason));
    }
    numerics::arithmetic_of(engine).map_err(|error| Stop::refused_for(RefusalCode::ParametersInvalid, &error))
}

/// The model of a job, computed as the job asks.
pub(super) fn set(bundle: Bundle, job: &JobSpec, precision: Precision) -> Result<Bundle, Stop> {
    bundle
        .with_arithmetic(of_job(job, precision)?)
        .map_err(Stop::engine(RefusalCode::ParametersInvalid))
}

/// The model that a training begins with: quantised weights as the values that they stand for.
pub(super) fn of_training(model: Model, job: &JobSpec, precision: Precision) -> Result<Model, Stop> {
    model
        .into_f32()
        .with_arithmetic(of_job(job, precision)?)
        .map_err(Stop::engine(RefusalCode::ParametersInvalid))
}

/// Refuses a model that cannot be computed as the parameters ask, by its head alone.
pub(super) fn check(header: &BundleHeader, parameters: &Parameters) -> Result<(), Stop> {
    if parameters.operation() == Operation::Train {
        return Ok(());
    }
    header
        .check_arithmetic(numerics::fastest(parameters.precision()))
        .map_err(Stop::engine(RefusalCode::ParametersInvalid))
}
