//! `FixedRateExchange`: what versions 2.6.0 and 1.1.15 have in common.

alloy::sol! {
    #[sol(abi)]
    #[derive(Debug, PartialEq, Eq)]
    interface IFixedRate {
        event ExchangeCreated(bytes32 indexed exchangeId, address indexed baseToken, address indexed datatoken, address exchangeOwner, uint256 fixedRate);
        event ExchangeRateChanged(bytes32 indexed exchangeId, address indexed exchangeOwner, uint256 newRate);
        event ExchangeActivated(bytes32 indexed exchangeId, address indexed exchangeOwner);
        event ExchangeDeactivated(bytes32 indexed exchangeId, address indexed exchangeOwner);
        event Swapped(bytes32 indexed exchangeId, address indexed by, uint256 baseTokenSwappedAmount, uint256 datatokenSwappedAmount, address tokenOutAddress, uint256 marketFeeAmount, uint256 oceanFeeAmount, uint256 consumeMarketFeeAmount);
        event TokenCollected(bytes32 indexed exchangeId, address indexed to, address indexed token, uint256 amount);
        event MarketFeeCollected(bytes32 indexed exchangeId, address indexed feeToken, uint256 feeAmount);
        event OceanFeeCollected(bytes32 indexed exchangeId, address indexed feeToken, uint256 feeAmount);

        function generateExchangeId(address baseToken, address datatoken) external pure returns (bytes32);
        function getExchange(bytes32 exchangeId) external view returns (address exchangeOwner, address datatoken, uint256 dtDecimals, address baseToken, uint256 btDecimals, uint256 fixedRate, bool active, uint256 dtSupply, uint256 btSupply, uint256 dtBalance, uint256 btBalance, bool withMint);
        function getFeesInfo(bytes32 exchangeId) external view returns (uint256 marketFee, address marketFeeCollector, uint256 opcFee, uint256 marketFeeAvailable, uint256 oceanFeeAvailable);
        function getAllowedSwapper(bytes32 exchangeId) external view returns (address allowedSwapper);
        function calcBaseInGivenOutDT(bytes32 exchangeId, uint256 datatokenAmount, uint256 consumeMarketSwapFeeAmount) external view returns (uint256 baseTokenAmount, uint256 oceanFeeAmount, uint256 publishMarketFeeAmount, uint256 consumeMarketFeeAmount);
        function calcBaseOutGivenInDT(bytes32 exchangeId, uint256 datatokenAmount, uint256 consumeMarketSwapFeeAmount) external view returns (uint256 baseTokenAmount, uint256 oceanFeeAmount, uint256 publishMarketFeeAmount, uint256 consumeMarketFeeAmount);
        function buyDT(bytes32 exchangeId, uint256 datatokenAmount, uint256 maxBaseTokenAmount, address consumeMarketAddress, uint256 consumeMarketSwapFeeAmount) external;
        function sellDT(bytes32 exchangeId, uint256 datatokenAmount, uint256 minBaseTokenAmount, address consumeMarketAddress, uint256 consumeMarketSwapFeeAmount) external;
        function collectBT(bytes32 exchangeId, uint256 amount) external;
        function collectDT(bytes32 exchangeId, uint256 amount) external;
        function collectMarketFee(bytes32 exchangeId) external;
        function collectOceanFee(bytes32 exchangeId) external;
        function setRate(bytes32 exchangeId, uint256 newRate) external;
        function setAllowedSwapper(bytes32 exchangeId, address newAllowedSwapper) external;
        function toggleExchangeState(bytes32 exchangeId) external;
    }
}
