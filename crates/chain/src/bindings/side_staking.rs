//! `SideStaking` of 1.1.15: holds the datatokens of pools.

alloy::sol! {
    #[sol(abi)]
    #[derive(Debug, PartialEq, Eq)]
    interface ISideStaking {
        function getDatatokenCirculatingSupply(address datatokenAddress) external view returns (uint256);
        function getDatatokenBalance(address datatokenAddress) external view returns (uint256);
    }
}
