//! `ERC20Template` (template 1), beyond plain ERC-20.

alloy::sol! {
    #[sol(abi)]
    #[derive(Debug, PartialEq, Eq)]
    interface IDatatoken {
        struct providerFee {
            address providerFeeAddress;
            address providerFeeToken;
            uint256 providerFeeAmount;
            uint8 v;
            bytes32 r;
            bytes32 s;
            uint256 validUntil;
            bytes providerData;
        }
        struct consumeMarketFee {
            address consumeMarketFeeAddress;
            address consumeMarketFeeToken;
            uint256 consumeMarketFeeAmount;
        }
        struct fixedRate {
            address contractAddress;
            bytes32 id;
        }
        struct RolesERC20 {
            bool minter;
            bool paymentManager;
        }

        event OrderStarted(address indexed consumer, address payer, uint256 amount, uint256 serviceIndex, uint256 timestamp, address indexed publishMarketAddress, uint256 blockNumber);
        event OrderReused(bytes32 orderTxId, address caller, uint256 timestamp, uint256 number);
        event OrderExecuted(address indexed providerAddress, address indexed consumerAddress, bytes32 orderTxId, bytes providerData, bytes providerSignature, bytes consumerData, bytes consumerSignature, uint256 timestamp, uint256 blockNumber);
        event ProviderFee(address indexed providerFeeAddress, address indexed providerFeeToken, uint256 providerFeeAmount, bytes providerData, uint8 v, bytes32 r, bytes32 s, uint256 validUntil);
        event PublishMarketFee(address indexed PublishMarketFeeAddress, address indexed PublishMarketFeeToken, uint256 PublishMarketFeeAmount);
        event ConsumeMarketFee(address indexed consumeMarketFeeAddress, address indexed consumeMarketFeeToken, uint256 consumeMarketFeeAmount);
        event NewPaymentCollector(address indexed caller, address indexed _newPaymentCollector, uint256 timestamp, uint256 blockNumber);
        event AddedMinter(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event RemovedMinter(address indexed user, address indexed signer, uint256 timestamp, uint256 blockNumber);
        event NewPool(address poolAddress, address ssContract, address baseTokenAddress);
        event NewFixedRate(bytes32 exchangeId, address indexed owner, address exchangeContract, address indexed baseToken);
        event NewDispenser(address dispenserContract);

        function cap() external view returns (uint256);
        function getERC721Address() external view returns (address);
        function getId() external pure returns (uint8);
        function getPaymentCollector() external view returns (address);
        function getPermissions(address user) external view returns (RolesERC20 memory);
        function getPublishingMarketFee() external view returns (address, address, uint256);
        function getFixedRates() external view returns (fixedRate[] memory);
        function getDispensers() external view returns (address[] memory);
        function getPools() external view returns (address[] memory);
        function isMinter(address account) external view returns (bool);
        function isERC20Deployer(address user) external view returns (bool);
        function nonces(address) external view returns (uint256);
        function DOMAIN_SEPARATOR() external view returns (bytes32);

        function mint(address account, uint256 value) external;
        function burn(uint256 amount) external;
        function burnFrom(address account, uint256 amount) external;
        function addMinter(address _minter) external;
        function removeMinter(address _minter) external;
        function addPaymentManager(address _paymentManager) external;
        function removePaymentManager(address _paymentManager) external;
        function setPaymentCollector(address _newPaymentCollector) external;
        function setData(bytes memory _value) external;
        function permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s) external;
        function createFixedRate(address fixedPriceAddress, address[] memory addresses, uint256[] memory uints) external returns (bytes32 exchangeId);
        function createDispenser(address _dispenser, uint256 maxTokens, uint256 maxBalance, bool withMint, address allowedSwapper) external;
        function startOrder(address consumer, uint256 serviceIndex, providerFee memory _providerFee, consumeMarketFee memory _consumeMarketFee) external;
        function reuseOrder(bytes32 orderTxId, providerFee memory _providerFee) external;
        function orderExecuted(bytes32 orderTxId, bytes memory providerData, bytes memory providerSignature, bytes memory consumerData, bytes memory consumerSignature, address consumerAddress) external;
    }
}
