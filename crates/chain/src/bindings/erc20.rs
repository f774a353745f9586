//! Plain ERC-20 as the datatoken template has it, and the OCEAN token's own additions.

alloy::sol! {
    #[sol(abi)]
    #[derive(Debug, PartialEq, Eq)]
    interface IErc20 {
        event Transfer(address indexed from, address indexed to, uint256 value);
        event Approval(address indexed owner, address indexed spender, uint256 value);

        function name() external view returns (string memory);
        function symbol() external view returns (string memory);
        function decimals() external view returns (uint8);
        function totalSupply() external view returns (uint256);
        function balanceOf(address account) external view returns (uint256);
        function allowance(address owner, address spender) external view returns (uint256);
        function approve(address spender, uint256 amount) external returns (bool);
        function transfer(address to, uint256 amount) external returns (bool);
        function transferFrom(address from, address to, uint256 amount) external returns (bool);
        function increaseAllowance(address spender, uint256 addedValue) external returns (bool);
        function decreaseAllowance(address spender, uint256 subtractedValue) external returns (bool);
    }
}

alloy::sol! {
    #[sol(abi)]
    #[derive(Debug, PartialEq, Eq)]
    interface IOceanToken {
        function mint(address to, uint256 amount) external;
        function cap() external view returns (uint256);
        function owner() external view returns (address);
    }
}
