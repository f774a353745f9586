//! `ERC721Template`: a data NFT, its metadata, its ERC-725Y store and its roles.

alloy::sol! {
    #[sol(abi)]
    #[derive(Debug, PartialEq, Eq)]
    interface INft {
        struct metaDataProof {
            address validatorAddress;
            uint8 v;
            bytes32 r;
            bytes32 s;
        }
        struct Roles {
            bool manager;
            bool deployERC20;
            bool updateMetadata;
            bool store;
        }

        event Transfer(address indexed from, address indexed to, uint256 indexed tokenId);
        event TokenCreated(address indexed newTokenAddress, address indexed templateAddress, string name, string symbol, uint256 cap, address creator);
        event MetadataCreated(address indexed createdBy, uint8 state, string decryptorUrl, bytes flags, bytes data, bytes32 metaDataHash, uint256 timestamp, uint256 blockNumber);
        event MetadataUpdated(address indexed updatedBy, uint8 state, string decryptorUrl, bytes flags, bytes data, bytes32 metaDataHash, uint256 timestamp, uint256 blockNumber);
        event MetadataState(address indexed updatedBy, uint8 state, uint256 timestamp, uint256 blockNumber);
        event MetadataValidated(address indexed validator, bytes32 metaDataHash, uint8 v, bytes32 r, bytes32 s);
        event DataChanged(bytes32 indexed key, bytes value);

        function name() external view returns (string memory);
        function symbol() external view returns (string memory);
        function ownerOf(uint256 tokenId) external view returns (address);
        function tokenURI(uint256 tokenId) external view returns (string memory);
        function transferable() external view returns (bool);
        function getMetaData() external view returns (string memory, string memory, uint8, bool);
        function getData(bytes32 _key) external view returns (bytes memory _value);
        function getPermissions(address user) external view returns (Roles memory);
        function getTokensList() external view returns (address[] memory);
        function isERC20Deployer(address account) external view returns (bool);

        function setMetaData(uint8 _metaDataState, string memory _metaDataDecryptorUrl, string memory _metaDataDecryptorAddress, bytes memory flags, bytes memory data, bytes32 _metaDataHash, metaDataProof[] memory _metadataProofs) external;
        function setMetaDataState(uint8 _metaDataState) external;
        function setTokenURI(uint256 tokenId, string memory tokenURI) external;
        function setNewData(bytes32 _key, bytes memory _value) external;
        function createERC20(uint256 _templateIndex, string[] memory strings, address[] memory addresses, uint256[] memory uints, bytes[] memory bytess) external returns (address);
        function addManager(address _managerAddress) external;
        function removeManager(address _managerAddress) external;
        function addToCreateERC20List(address _allowedAddress) external;
        function removeFromCreateERC20List(address _allowedAddress) external;
        function addToMetadataList(address _allowedAddress) external;
        function removeFromMetadataList(address _allowedAddress) external;
        function addTo725StoreList(address _allowedAddress) external;
        function removeFrom725StoreList(address _allowedAddress) external;
        function transferFrom(address from, address to, uint256 tokenId) external;
    }
}
