//! `ERC721Factory`: makes data NFTs and datatokens.

alloy::sol! {
    #[sol(abi)]
    #[derive(Debug, PartialEq, Eq)]
    interface INftFactory {
        struct NftCreateData {
            string name;
            string symbol;
            uint256 templateIndex;
            string tokenURI;
            bool transferable;
            address owner;
        }
        struct ErcCreateData {
            uint256 templateIndex;
            string[] strings;
            address[] addresses;
            uint256[] uints;
            bytes[] bytess;
        }
        struct FixedData {
            address fixedPriceAddress;
            address[] addresses;
            uint256[] uints;
        }
        struct DispenserData {
            address dispenserAddress;
            uint256 maxTokens;
            uint256 maxBalance;
            bool withMint;
            address allowedSwapper;
        }
        struct PoolData {
            uint256[] ssParams;
            uint256[] swapFees;
            address[] addresses;
        }

        event NFTCreated(address newTokenAddress, address indexed templateAddress, string tokenName, address indexed admin, string symbol, string tokenURI, bool transferable, address indexed creator);
        event TokenCreated(address indexed newTokenAddress, address indexed templateAddress, string name, string symbol, uint256 cap, address creator);

        function createNftWithErc20(NftCreateData memory _NftCreateData, ErcCreateData memory _ErcCreateData) external returns (address erc721Address, address erc20Address);
        function createNftWithErc20WithFixedRate(NftCreateData memory _NftCreateData, ErcCreateData memory _ErcCreateData, FixedData memory _FixedData) external returns (address erc721Address, address erc20Address, bytes32 exchangeId);
        function createNftWithErc20WithDispenser(NftCreateData memory _NftCreateData, ErcCreateData memory _ErcCreateData, DispenserData memory _DispenserData) external returns (address erc721Address, address erc20Address);
        function createNftWithErc20WithPool(NftCreateData memory _NftCreateData, ErcCreateData memory _ErcCreateData, PoolData memory _PoolData) external returns (address erc721Address, address erc20Address, address poolAddress);
        function addTokenTemplate(address _templateAddress) external returns (uint256);
        function erc721List(address) external view returns (address);
        function erc20List(address) external view returns (bool);
    }
}
