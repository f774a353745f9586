//! `Splitter`: pays what it receives to fixed payees by shares.

alloy::sol! {
    #[sol(abi)]
    #[derive(Debug, PartialEq, Eq)]
    interface ISplitter {
        event PayeeAdded(address account, uint256 shares);
        event PayeePaid(address indexed token, address indexed account, uint256 amount);
        event PaymentReleased(address indexed token, uint256 amount);
        event OwnershipTransferred(address indexed previousOwner, address indexed newOwner);

        function getPayees() external view returns (address[] memory);
        function shares(address account) external view returns (uint256);
        function totalShares() external view returns (uint256);
        function totalReleased(address token) external view returns (uint256);
        function owner() external view returns (address);
        function release(address token) external;
        function renounceOwnership() external;
    }
}
