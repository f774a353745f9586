//! `Dispenser`: gives datatokens away.

alloy::sol! {
    #[sol(abi)]
    #[derive(Debug, PartialEq, Eq)]
    interface IDispenser {
        event DispenserCreated(address indexed datatokenAddress, address indexed owner, uint256 maxTokens, uint256 maxBalance, address allowedSwapper);
        event DispenserActivated(address indexed datatokenAddress);
        event DispenserDeactivated(address indexed datatokenAddress);
        event TokensDispensed(address indexed datatokenAddress, address indexed userAddress, uint256 amount);

        function status(address datatoken) external view returns (bool active, address owner, bool isMinter, uint256 maxTokens, uint256 maxBalance, uint256 balance, address allowedSwapper);
        function dispense(address datatoken, uint256 amount, address destination) external;
        function activate(address datatoken, uint256 maxTokens, uint256 maxBalance) external;
        function deactivate(address datatoken) external;
        function setAllowedSwapper(address datatoken, address newAllowedSwapper) external;
        function ownerWithdraw(address datatoken) external;
    }
}
