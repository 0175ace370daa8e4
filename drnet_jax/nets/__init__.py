"""The networks: content and pose encoders, decoders, scene discriminator, pose predictor."""
