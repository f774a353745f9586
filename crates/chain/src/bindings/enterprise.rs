//! `EnterpriseFeeCollector`: which tokens enterprise exchange and escrow take.

alloy::sol! {
    #[sol(abi)]
    #[derive(Debug, PartialEq, Eq)]
    interface IEnterpriseFeeCollector {
        function updateToken(address tokenAddress, uint256 minFee, uint256 maxFee, uint256 feePercentage, bool allowed) external;
    }
}
