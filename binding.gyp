{
  "targets": [
    {
      "target_name": "ramcache",
      "type": "none",
      "actions": [
        {
          "action_name": "cargo",
          "message": "Building the native part with cargo",
          "inputs": [],
          "outputs": ["<(PRODUCT_DIR)/never-created-so-that-cargo-decides-what-is-fresh"],
          "action": ["node", "scripts/build-native.mjs"]
        }
      ]
    }
  ]
}
