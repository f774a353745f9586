//! Receipts: made from a statement and the facts of an order, and checked against them.

use posthuman_types::{Address, Amount, Did, Digest, JobId, OrderId, Receipt, StartRequest, Statement};

use crate::compare::Differences;

/// What the node adds to a worker's statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceiptFacts {
    /// The job.
    pub job: JobId,
    /// The asset that was ordered.
    pub asset: Did,
    /// Its data NFT.
    pub nft: Address,
    /// The order that paid.
    pub order: OrderId,
    /// Who asked.
    pub consumer: Address,
    /// The datatoken that was spent.
    pub datatoken: Address,
    /// Token of the provider fee.
    pub fee_token: Address,
    /// The provider fee, gross, in base units.
    pub fee_amount: Amount,
    /// The node's wallet.
    pub node: Address,
    /// Digest of the consumer's start request.
    pub request: Digest,
    /// Digest of the receipt of the turn before in an inference session; zero elsewhere.
    pub previous: Digest,
    /// When the work began, in seconds since 1970 (Unix time).
    pub started_at: u64,
    /// When it ended.
    pub finished_at: u64,
}

impl ReceiptFacts {
    /// The receipt of a run that `statement` describes. Nothing is checked here.
    pub fn receipt(self, statement: &Statement) -> Receipt {
        Receipt {
            job: self.job,
            asset: self.asset.to_string(),
            nft: self.nft,
            operation: statement.operation,
            engine: statement.engine.clone(),
            commitment_in: statement.commitment_in.clone(),
            commitment_out: statement.commitment_out.clone(),
            tokenizer: statement.tokenizer,
            input: statement.input,
            parameters: statement.parameters.clone(),
            seed: statement.seed,
            output: statement.outputs.digest(),
            usage: statement.usage,
            order: self.order,
            consumer: self.consumer,
            datatoken: self.datatoken,
            fee_token: self.fee_token,
            fee_amount: self.fee_amount,
            node: self.node,
            request: self.request,
            previous: self.previous,
            started_at: self.started_at,
            finished_at: self.finished_at,
        }
    }
}

/// What somebody knows of an order from elsewhere, as a rule from the chain. Absent facts are not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpectedFacts {
    /// The order.
    pub order: Option<OrderId>,
    /// The asset that was ordered.
    pub asset: Option<Did>,
    /// Its data NFT.
    pub nft: Option<Address>,
    /// Who may use the order.
    pub consumer: Option<Address>,
    /// The datatoken that was spent.
    pub datatoken: Option<Address>,
    /// Token of the provider fee.
    pub fee_token: Option<Address>,
    /// The provider fee, gross.
    pub fee_amount: Option<Amount>,
    /// The node's wallet.
    pub node: Option<Address>,
}

/// Checks that a receipt says what `statement` says of the run.
///
/// # Errors
/// Every field in which they differ. The first side is the receipt.
pub fn check_statement(receipt: &Receipt, statement: &Statement) -> Result<(), Differences> {
    let mut differences = Differences::between("receipt and the statement");
    differences.field("the operation", receipt.operation, statement.operation);
    differences.field("the engine", &receipt.engine, &statement.engine);
    let (one, two) = (receipt.commitment_in.as_ref(), statement.commitment_in.as_ref());
    differences.commitment("the weights that went in", one, two);
    let (one, two) = (receipt.commitment_out.as_ref(), statement.commitment_out.as_ref());
    differences.commitment("the weights that came out", one, two);
    differences.field("the tokenizer", receipt.tokenizer, statement.tokenizer);
    differences.field("the input", receipt.input, statement.input);
    differences.parameters(&receipt.parameters, &statement.parameters);
    differences.field("the seed", receipt.seed, statement.seed);
    differences.field("the output", receipt.output, statement.outputs.digest());
    differences.usage(&receipt.usage, &statement.usage);
    differences.into_result()
}

/// Checks that a receipt answers the start request that the consumer signed.
///
/// # Errors
/// Every field in which they differ. The first side is the receipt.
pub fn check_request(receipt: &Receipt, request: &StartRequest) -> Result<(), Differences> {
    let mut differences = Differences::between("receipt and the start request");
    differences.field("the order", receipt.order, request.order);
    differences.field("the datatoken", receipt.datatoken, request.datatoken);
    differences.field("the operation", receipt.operation, request.operation);
    differences.field("the input", receipt.input, request.input);
    differences.parameters(&receipt.parameters, &request.parameters);
    differences.field(
        "the receipt of the turn before",
        receipt.previous,
        request.previous,
    );
    differences.field("the digest of the request", receipt.request, request.digest());
    differences.field("the job", receipt.job, request.job_id());
    differences.into_result()
}

/// Checks a receipt against what is known from elsewhere.
///
/// # Errors
/// Every fact in which they differ. The first side is the receipt.
pub fn check_facts(receipt: &Receipt, expected: &ExpectedFacts) -> Result<(), Differences> {
    let mut differences = Differences::between("receipt and the order");
    differences.expected("the order", receipt.order, expected.order);
    differences.expected(
        "the asset",
        receipt.asset.as_str(),
        expected.asset.as_ref().map(Did::as_str),
    );
    differences.expected("the data NFT", receipt.nft, expected.nft);
    differences.expected("the consumer", receipt.consumer, expected.consumer);
    differences.expected("the datatoken", receipt.datatoken, expected.datatoken);
    differences.expected("the token of the fee", receipt.fee_token, expected.fee_token);
    differences.expected("the fee", receipt.fee_amount, expected.fee_amount);
    differences.expected("the node", receipt.node, expected.node);
    differences.into_result()
}
