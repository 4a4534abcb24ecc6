mod scorer_parity;
