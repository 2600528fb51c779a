# How a training runs, whatever it trains. `seed` fixes initialisation, order and augmentation.
seed = 0
log_interval = 50
keep_checkpoints = 3
