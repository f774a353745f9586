//! `BPool`: a two-token pool; its shares are an ERC-20 of their own.

alloy::sol! {
    #[sol(abi)]
    #[derive(Debug, PartialEq, Eq)]
    interface IPool {
        event LOG_SWAP(address indexed caller, address indexed tokenIn, address indexed tokenOut, uint256 tokenAmountIn, uint256 tokenAmountOut, uint256 timestamp, uint256 inBalance, uint256 outBalance, uint256 newSpotPrice);
        event LOG_JOIN(address indexed caller, address indexed tokenIn, uint256 tokenAmountIn, uint256 timestamp);
        event LOG_EXIT(address indexed caller, address indexed tokenOut, uint256 tokenAmountOut, uint256 timestamp);

        function balanceOf(address whom) external view returns (uint256);
        function totalSupply() external view returns (uint256);
        function getBaseTokenAddress() external view returns (address);
        function getDatatokenAddress() external view returns (address);
        function getBalance(address token) external view returns (uint256);
        function getSpotPrice(address tokenIn, address tokenOut, uint256 _consumeMarketSwapFee) external view returns (uint256 spotPrice);
        function getAmountInExactOut(address tokenIn, address tokenOut, uint256 tokenAmountOut, uint256 _consumeMarketSwapFee) external view returns (uint256 tokenAmountIn, uint256 lpFeeAmount, uint256 oceanFeeAmount, uint256 publishMarketSwapFeeAmount, uint256 consumeMarketSwapFeeAmount);
        function getAmountOutExactIn(address tokenIn, address tokenOut, uint256 tokenAmountIn, uint256 _consumeMarketSwapFee) external view returns (uint256 tokenAmountOut, uint256 lpFeeAmount, uint256 oceanFeeAmount, uint256 publishMarketSwapFeeAmount, uint256 consumeMarketSwapFeeAmount);
        function swapExactAmountIn(address[3] memory tokenInOutMarket, uint256[4] memory amountsInOutMaxFee) external returns (uint256 tokenAmountOut, uint256 spotPriceAfter);
        function swapExactAmountOut(address[3] memory tokenInOutMarket, uint256[4] memory amountsInOutMaxFee) external returns (uint256 tokenAmountIn, uint256 spotPriceAfter);
        function joinswapExternAmountIn(uint256 tokenAmountIn, uint256 minPoolAmountOut) external returns (uint256 poolAmountOut);
        function exitswapPoolAmountIn(uint256 poolAmountIn, uint256 minAmountOut) external returns (uint256 tokenAmountOut);
        function collectMarketFee() external;
        function collectOPC() external;
    }
}
