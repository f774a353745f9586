//! `FactoryRouter`: fees, approved tokens and the contracts that count as exchanges.
//!
//! Its batch calls (`stakeBatch`, `buyDTBatch`) and `deployPool` are left out on purpose: they need an allowance to
//! the router, which anyone could then spend.

alloy::sol! {
    #[sol(abi)]
    #[derive(Debug, PartialEq, Eq)]
    interface IRouter {
        function getOPCFee(address baseToken) external view returns (uint256);
        function getOPCConsumeFee() external view returns (uint256);
        function getOPCProviderFee() external view returns (uint256);
        function getOPCCollector() external view returns (address);
        function isApprovedToken(address tokenAddress) external view returns (bool);
        function isFixedRateContract(address _fixedRate) external view returns (bool);
        function isDispenserContract(address _dispenser) external view returns (bool);
        function routerOwner() external view returns (address);
        function factory() external view returns (address);
        function addFactory(address _factory) external;
        function addFixedRateContract(address _fixedRate) external;
        function addDispenserContract(address _dispenser) external;
        function addSSContract(address _ssContract) external;
        function addApprovedToken(address tokenAddress) external;
        function updateOPCFee(uint256 _newSwapOceanFee, uint256 _newSwapNonOceanFee, uint256 _newConsumeFee, uint256 _newProviderFee) external;
        function updateMinVestingPeriod(uint256 _newPeriod) external;
    }
}
