"""The figures that each tutorial ends with, and between which bounds they have to lie.

Bounds were set before the runs that they judge, from what the part of the package that is shown
promises. Those of the short form are wider, since it trains for a few seconds only, but still
narrower than what is reached without any training.
"""

FULL = {
    "what_a_flow_is": {
        "integral of the density": (0.999, 1.001),
        "spline, nats from the truth": (-0.01, 0.05),  # a normal is 0.49 away
        "U1, 32 layers, nats": (-0.02, 0.1),
        "U2, 32 layers, nats": (-0.02, 0.1),
        "U3, 32 layers, nats": (-0.02, 0.15),
        "U4, 32 layers, nats": (-0.02, 0.15),
    },
    "maf_iaf_real_nvp": {
        "MAF, nats from the truth": (-0.01, 0.25),  # a normal is 0.89 away
        "IAF, nats from the truth": (-0.01, 0.25),
        "RealNVP, nats from the truth": (-0.01, 0.25),
        "MAF, share outside": (0.0, 0.05),
        "IAF, share outside": (0.0, 0.05),
        "RealNVP, share outside": (0.0, 0.05),
        "one MAF layer, nats from the truth": (0.4, 0.6),
        "one MAF layer, ours minus TFP's": (-0.05, 0.05),
        "RealNVP, difference from TFP": (0.0, 1e-5),
    },
    "quickstart": {
        "this flow": (0.45, 0.66),  # 0.66 is what the paper reached with a larger flow
        "Gaussian": (-7.8, -7.7),  # published for these data: -7.74
    },
    "one_target_every_flow": {
        "integral of the target": (0.999, 1.001),
        "NICE, nats from the target": (0.0, 1.4),  # a normal is 1.55 away
        "RealNVP, nats from the target": (0.0, 1.2),
        "MAF, nats from the target": (0.0, 0.6),
        "spline, nats from the target": (-0.02, 0.3),
        "spline, share of lost samples": (0.0, 0.1),
        "recipes in the gallery": (18, 18),
        "gallery, fewest nats from the target": (-0.02, 0.2),
        "gallery, most nats from the target": (0.0, 1.2),
    },
    "simulation_based_inference": {
        "two moons, exact nats": (3.6, 3.7),
        "two moons, nats from the exact posterior": (-0.02, 0.3),
        "two moons, p of calibration": (0.05, 1.0),
        "too narrow on purpose, p of the better column": (0.0, 1e-3),
        "oscillation, nats gained over the prior": (2.0, 6.0),
        "oscillation, p of calibration": (0.05, 1.0),
    },
    "variational_inference": {
        "flow, nats from the posterior": (-0.005, 0.05),
        "independent normals, nats from the posterior": (0.05, 1.0),
        "largest R-hat of NUTS": (0.99, 1.02),
        "flow, largest shift of a mean": (0.0, 0.1),
        "flow, smallest ratio of deviations": (0.9, 1.1),
        "flow, largest ratio of deviations": (0.9, 1.1),
        "flow, Pareto k": (-1.0, 0.7),
        "flow, error of the weighted mean": (-0.05, 0.05),
    },
    "neutra": {
        "flow, nats from the funnel": (-0.01, 0.1),  # 3.7 at the start
        "flow itself, deviation of v": (2.85, 3.15),  # 3
        "through the flow, ESS of v": (3_000.0, 40_000.0),  # of 16,000 draws
        "through the flow, ESS of v^2": (2_000.0, 40_000.0),
        "through the flow, R-hat of v": (0.99, 1.02),
        "through the flow, deviation of v": (2.85, 3.15),  # 3
        "through the flow, share of v below -5": (0.038, 0.058),  # 0.048
        "gain in effective draws per gradient": (10.0, 10_000.0),
        "rough flow itself, deviation of v": (1.0, 2.85),
        "through the rough flow, deviation of v": (2.8, 3.2),
    },
    "tables": {
        "flow above normal, nats": (1.0, 5.0),
        "anomalies, AUC": (0.8, 1.0),
        "the others tell about the power, nats": (0.3, 3.0),  # a linear regression: 0.19
        "share in the middle 80%": (0.7, 0.9),  # the days of the test are other days
        "faults of the flow": (0, 0),
        "faults of the raw table": (2, 2),
    },
    "vae": {
        "normal prior, normal posterior, ELBO": (-120.0, -105.0),
        "gain by both flows": (3.0, 12.0),
        "prior, nats above the normal": (1.0, float("inf")),  # nothing ties the scale
    },
    "images": {
        "multiscale, bits": (1.5, 2.433),  # independent pixels take 2.433
        "glow, bits": (1.5, 2.433),
        "share classified right": (0.91, 1.0),  # by independent pixels: 0.909
        "samples read as their class, T = 0.7": (0.7, 1.0),
        "there and back, largest error": (0.0, 1e-2),  # of pixels from 0 to 16
    },
    "continuous_flows": {
        "likelihood, nats from the truth": (-0.02, 0.2),  # a normal is 0.81 away
        "flow matching, nats from the truth": (-0.02, 0.2),
        "log-determinant, largest difference": (0.0, 1e-3),
        "likelihood, nats of samples": (-0.05, 0.4),
        "flow matching, nats of samples": (-0.05, 0.4),
        "likelihood, evaluations": (14, 400),
        "flow matching, evaluations": (14, 400),
        "likelihood, error of samples": (0.0, 1e-3),
        "flow matching, error of samples": (0.0, 1e-3),
    },
    "residual_flows": {
        "exact, largest error": (0.0, 1e-12),
        "cut series, largest error over bound": (0.0, 1.0),
        "series, 2 terms, standard errors away": (5.0, float("inf")),
        "roulette, survival 0.85, standard errors away": (0.0, 4.0),
        "fixed point, k = 0.97, error": (0.0, 1e-10),
        "residual, loss minus exact": (-0.1, 0.1),
        "iresnet, loss minus exact": (-5.0, -0.05),  # its loss promises too much
        "residual, nats from the truth": (-0.02, 0.15),
        "largest norm of J": (0.3, 0.9001),  # 0.9 is the bound
        "there and back, largest error": (0.0, 1e-3),
    },
    "sets_and_sound": {
        "sets, exact minus elbo": (-0.5, 12.0),
        "sets, elbo above the ring": (5.0, 30.0),
        "sets, share of points near the circle": (0.9, 1.0),
        "sound, nats from the truth": (-0.5, 15.0),  # a normal is 21 away
        "sound, nats above a normal": (5.0, 25.0),
        "sound, median error of the pitch": (0.0, 0.006),  # a normal: 0.02, the data: 0.0012
    },
    "your_own_bijector": {
        "there and back, largest error": (0.0, 1e-10),
        "log-determinant, largest error": (0.0, 1e-10),
        "inverse log-determinant, largest error": (0.0, 1e-10),
        "identity at the start, largest error": (0.0, 1e-10),
        "affine, nats from the truth": (0.05, 0.3),
        "sinh-arcsinh, nats from the truth": (-0.01, 0.05),
        "saved and loaded, largest difference": (0.0, 0.0),
    },
}

SHORT = {
    "what_a_flow_is": {
        "integral of the density": (0.999, 1.001),
        "spline, nats from the truth": (-0.01, 0.1),
        "U1, 2 layers, nats": (-0.05, 1.0),  # 6.1 at the start
    },
    "maf_iaf_real_nvp": {
        "MAF, nats from the truth": (0.0, 0.75),
        "IAF, nats from the truth": (0.0, 0.75),
        "RealNVP, nats from the truth": (0.0, 0.75),
        "one MAF layer, nats from the truth": (0.4, 0.85),
        "one MAF layer, ours minus TFP's": (-0.15, 0.15),
        "RealNVP, difference from TFP": (0.0, 1e-5),
    },
    "one_target_every_flow": {
        "integral of the target": (0.999, 1.001),
        "spline, nats from the target": (-0.02, 1.2),  # a normal is 1.55 away
        "recipes in the gallery": (18, 18),
    },
    "simulation_based_inference": {
        "two moons, exact nats": (3.6, 3.7),
        "two moons, nats from the exact posterior": (0.0, 4.0),  # the prior is 5.05 away
        "too narrow on purpose, p of the better column": (0.0, 1e-3),
        "oscillation, nats gained over the prior": (0.1, 6.0),
    },
    "variational_inference": {
        "flow, nats from the posterior": (-0.02, 0.6),  # independent normals: 0.92
        "flow, Pareto k": (-1.0, 0.9),
        "flow, error of the weighted mean": (-0.3, 0.3),
    },
    "neutra": {
        "flow, nats from the funnel": (-0.02, 0.5),  # 1.57 at the start
        "through the flow, deviation of v": (2.3, 3.7),  # 3; HMC alone: 2.0
        "gain in effective draws per gradient": (3.0, 1_000.0),
    },
    "tables": {
        "flow above normal, nats": (0.5, 5.0),
        "anomalies, AUC": (0.65, 1.0),
        "the others tell about the power, nats": (0.3, 3.0),
        "faults of the flow": (0, 0),
        "faults of the raw table": (2, 2),
    },
    "vae": {
        "flow prior, flow posterior, ELBO": (-190.0, -100.0),  # -530 at the start
    },
    "images": {
        "multiscale, bits": (1.5, 3.2),
        "glow, bits": (1.5, 3.2),
        "share classified right": (0.3, 1.0),  # by chance: 0.1
        "there and back, largest error": (0.0, 1e-2),
    },
    "continuous_flows": {
        "likelihood, nats from the truth": (-0.02, 0.75),
        "flow matching, nats from the truth": (-0.02, 0.75),
        "log-determinant, largest difference": (0.0, 1e-2),
        "likelihood, error of samples": (0.0, 1e-2),
        "flow matching, error of samples": (0.0, 1e-2),
    },
    "residual_flows": {
        "exact, largest error": (0.0, 1e-12),
        "cut series, largest error over bound": (0.0, 1.0),
        "series, 2 terms, standard errors away": (3.0, float("inf")),
        "roulette, survival 0.85, standard errors away": (0.0, 4.0),
        "fixed point, k = 0.97, error": (0.0, 1e-10),
        "residual, nats from the truth": (-0.02, 1.05),  # 1.22 at the start
        "largest norm of J": (0.05, 0.9001),
        "there and back, largest error": (0.0, 1e-3),
    },
    "sets_and_sound": {
        "sets, exact minus elbo": (-0.5, 38.0),  # 43 at the start
        "sound, nats from the truth": (-0.5, 35.0),  # more than 40 at the start
    },
    "your_own_bijector": {
        "there and back, largest error": (0.0, 1e-10),
        "log-determinant, largest error": (0.0, 1e-10),
        "inverse log-determinant, largest error": (0.0, 1e-10),
        "identity at the start, largest error": (0.0, 1e-10),
        "sinh-arcsinh, nats from the truth": (-0.01, 0.15),
        "saved and loaded, largest difference": (0.0, 0.0),
    },
}
