"""What completes a picture, without torch but where several samples are asked for."""
