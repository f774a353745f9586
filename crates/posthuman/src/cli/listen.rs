//! Events of the market, as a person at a terminal or a log wants to hear them.

use posthuman_types::Progress as Said;
use posthuman_types::api::JobEvent;

use super::asset::whole;
use super::output::Progress;
use crate::Event;

/// Shows events on stderr and keeps the losses of a training for the plot at its end.
pub(crate) struct Watch {
    progress: Progress,
    losses: Vec<f32>,
    held_out: Vec<f32>,
}

impl Watch {
    pub(crate) fn new() -> Self {
        Self {
            progress: Progress::new(),
            losses: Vec::new(),
            held_out: Vec::new(),
        }
    }

    /// Shows one event.
    pub(crate) fn hear(&mut self, event: &Event<'_>) {
        match event {
            Event::Uploading { name, sent, total } => {
                self.progress
                    .show(*sent, *total, &format!("bytes of {name} sent"))
            }
            Event::Quoted(quote) => self.progress.say(format_args!(
                "{} tokens of {} allowed; fee {} of {}",
                quote.tokens,
                quote.allowance,
                whole(quote.provider_fee.amount),
                quote.provider_fee.token
            )),
            Event::Sent { label, transaction } => {
                self.progress
                    .say(format_args!("sending: {label} (transaction {transaction})"));
            }
            Event::Ordered(order) => {
                self.progress.say(format_args!(
                    "order {order} (if this is interrupted, go on with --order {order})"
                ));
            }
            Event::Started(job) => self.progress.say(format_args!("job {}", job.id)),
            Event::Job(event) => self.hear_job(event),
        }
    }

    /// Training losses so far, one per step.
    pub(crate) fn losses(&self) -> &[f32] {
        &self.losses
    }

    /// Held-out losses so far, one per look.
    pub(crate) fn held_out(&self) -> &[f32] {
        &self.held_out
    }

    /// Takes the bar away.
    pub(crate) fn finish(&mut self) {
        self.progress.finish();
    }

    fn hear_job(&mut self, event: &JobEvent) {
        match &event.progress {
            Some(Said::Phase { name }) => self.progress.say(name),
            Some(Said::Step {
                step,
                steps,
                loss,
                held_out_loss,
                ..
            }) => {
                self.losses.push(*loss);
                self.held_out.extend(held_out_loss);
                let held_out = self
                    .held_out
                    .last()
                    .map_or_else(String::new, |loss| format!(", held out {loss:.3}"));
                let message = format!("steps, loss {loss:.3}{held_out}{}", rate(event));
                self.progress.show(u64::from(*step), u64::from(*steps), &message);
            }
            Some(Said::Scored { tokens, total }) => {
                self.progress
                    .show(*tokens, *total, &format!("tokens scored{}", rate(event)));
            }
            Some(Said::Text { .. }) | None => {}
        }
    }
}

fn rate(event: &JobEvent) -> String {
    let speed = event
        .tokens_per_second
        .map_or_else(String::new, |speed| format!(", {speed:.0} tokens/s"));
    let eta = event
        .eta_seconds
        .map_or_else(String::new, |seconds| format!(", {seconds:.0} s left"));
    speed + &eta
}
