"""The networks of DrNET, their training states, and what a trained model computes.

Words, used in the same sense by code, log and report:

- frame: one picture, `[height, width, channels]`, uint8 or float in [0, 1]. A clip is frames of
  one scene in order of time.
- content: what stays the same throughout a clip, as a vector and, in U-Nets, feature maps (skips).
- pose: what changes from frame to frame, as a vector.
- pair: two poses that the scene discriminator compares; it says whether they are of one clip.
- autoencoder: content encoder, pose encoder and decoder, which have one loss and one optimizer.
- predictor: the LSTM that continues a sequence of poses.
- rollout: frames decoded from the content of a clip and the poses that the predictor gives.

Axes stand in the order `[batch, time, height, width, channels]`. A batch is of clips, or of single
frames where there is no time; it comes first because devices share it.
"""
